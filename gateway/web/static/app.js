"use strict";
// Everything here adds to pages that already work without it; each part looks for its own data attributes.
(() => {
  const token = () => document.querySelector("meta[name=csrf-token]").content;
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

  // Fragments fetched by htmx carry the token as well.
  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRFToken"] = token();
  });

  // A disabled act keeps its focus and its explanation; the server refuses it anyway.
  document.addEventListener("click", (event) => {
    if (event.target.closest("[aria-disabled=true]")) event.preventDefault();
  });

  // data-once: a form that must not be sent twice by a double click.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => all("[data-once]").forEach((form) => delete form.dataset.sent));

  // data-copy="id": copies the text of that element.
  const wireCopy = (button) => {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
      const words = button.querySelector("span");
      words.setAttribute("role", "status");
      words.textContent = button.dataset.done;
    });
  };

  // data-pen: a canvas for a drawn signature; its PNG travels in the hidden field.
  const wirePen = (box) => {
    if (!window.SignaturePad) return;
    box.hidden = false;
    const canvas = box.querySelector("canvas");
    const field = box.querySelector("input[type=hidden]");
    const pad = new window.SignaturePad(canvas, { penColor: "#1c232b", backgroundColor: "#ffffff" });
    const keep = () => { field.value = pad.isEmpty() ? "" : pad.toDataURL("image/png"); };
    const fit = () => {
      const drawn = pad.toData();
      const ratio = Math.min(Math.max(window.devicePixelRatio || 1, 1), 2);
      canvas.width = canvas.offsetWidth * ratio;
      canvas.height = canvas.offsetHeight * ratio;
      canvas.getContext("2d").scale(ratio, ratio);
      pad.clear();
      pad.fromData(drawn);
    };
    pad.addEventListener("endStroke", keep);
    box.querySelector("[data-pen-clear]").addEventListener("click", () => { pad.clear(); keep(); });
    window.addEventListener("resize", fit);
    fit();
  };

  // data-idle="seconds": says so before a session ends for want of activity, and prolongs it on request.
  const wireIdle = (notice) => {
    const wait = Math.max(Number(notice.dataset.idle) - 120, 10) * 1000;
    let timer = 0;
    const start = () => {
      notice.hidden = true;
      clearTimeout(timer);
      timer = setTimeout(() => { notice.hidden = false; }, wait);
    };
    notice.querySelector("button").addEventListener("click", async () => {
      const answer = await fetch("/healthz", { credentials: "same-origin" });
      if (answer.ok) start();
    });
    start();
  };

  const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

  const answered = async (promise) => {
    const answer = await promise;
    if (!answer.ok) throw Object.assign(new Error("refused"), { status: answer.status, answer });
    return answer;
  };

  const post = (url, body) => answered(fetch(url, {
    method: "POST", body, credentials: "same-origin", headers: { "X-CSRFToken": token(), Accept: "application/json" },
  }));

  const putPart = async (url, piece) => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await answered(fetch(url, {
          method: "PUT", body: piece, credentials: "same-origin",
          headers: { "X-CSRFToken": token(), "Content-Type": "application/octet-stream" },
        }));
      } catch (problem) {
        // What the server refused stays refused; only lost connections and busy moments are tried again.
        const lasting = problem.status && problem.status < 500 && problem.status !== 429;
        if (lasting || attempt >= 6) throw problem;
        await pause(500 * 2 ** attempt);
      }
    }
  };

  // data-upload-url: POST it to start ({upload, part_size, have}), PUT the missing parts, POST complete ({next}).
  const wireUpload = (form) => {
    const box = form.querySelector("[data-upload-status]");
    const bar = box.querySelector("progress");
    const words = box.querySelector("[data-upload-words]");
    const button = form.querySelector("[data-upload-start]");
    const say = (key, detail) => { words.textContent = box.dataset[key] + (detail || ""); };

    const send = async (file) => {
      const fields = new FormData(form);
      all("input[type=file]", form).forEach((input) => fields.delete(input.name));
      fields.set("name", file.name);
      fields.set("size", String(file.size));
      const { upload, part_size: partSize, have } = await (await post(form.dataset.uploadUrl, fields)).json();
      const parts = Math.max(1, Math.ceil(file.size / partSize));
      const held = new Set(have);
      const base = `${form.dataset.uploadParts || "/uploads"}/${encodeURIComponent(upload)}`;
      bar.max = parts;
      for (let number = 1; number <= parts; number += 1) {
        if (!held.has(number)) await putPart(`${base}/parts/${number}`, file.slice((number - 1) * partSize, number * partSize));
        bar.value = number;
        say("sending", ` ${Math.floor((100 * number) / parts)}%`);
      }
      say("checking");
      const done = await post(`${base}/complete`, new FormData());
      const found = (done.headers.get("Content-Type") || "").includes("json") ? (await done.json()).next : done.url;
      window.location.assign(found);
    };

    form.addEventListener("submit", async (event) => {
      const file = form.querySelector("input[type=file]").files[0];
      event.preventDefault();
      if (!file || button.getAttribute("aria-disabled") === "true") return;
      box.hidden = false;
      button.setAttribute("aria-disabled", "true");
      say("sending", " 0%");
      try {
        await send(file);
      } catch (problem) {
        let reason = "";
        if (problem.answer && (problem.answer.headers.get("Content-Type") || "").includes("json")) {
          reason = ` ${(await problem.answer.json()).message || ""}`;
        }
        say(problem.status && problem.status < 500 ? "refused" : "broken", reason);
        button.removeAttribute("aria-disabled");
      }
    });
  };

  const wire = (root) => {
    all("[data-copy]", root).forEach(wireCopy);
    all("[data-pen]", root).forEach(wirePen);
    all("[data-idle]", root).forEach(wireIdle);
    all("form[data-upload-url]", root).forEach(wireUpload);
  };

  // On narrow screens the navigation scrolls sideways; the present page's entry is brought into view.
  const present = document.querySelector(".sg-nav [aria-current]");
  if (present) present.scrollIntoView({ inline: "center", block: "nearest" });

  wire(document);
  document.addEventListener("htmx:load", (event) => {
    if (event.target !== document.body) wire(event.target);
  });
})();
