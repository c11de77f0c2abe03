/* Checks a receipt (C2SP tlog-proof) in the browser. Nothing is sent anywhere; needs WebCrypto with Ed25519. */
(() => {
  "use strict";

  const MAX_BYTES = 1 << 20;
  const MAX_ENTRY_BYTES = 65535;
  const HASH_BYTES = 32;
  const NUMBER = /^(0|[1-9][0-9]{0,18})$/;
  const TYPE = { log: 1, witness: 4 };
  const FIELDS = ["actor", "at", "data", "event", "from", "id", "object", "personal", "to", "v"];

  /** A reason for which the receipt is refused; `word` names its sentence on the page. */
  class Refused extends Error {
    constructor(word) {
      super(word);
      this.word = word;
    }
  }

  const need = (truth, word) => {
    if (!truth) throw new Refused(word);
  };

  const utf8 = (text) => new TextEncoder().encode(text);
  const joined = (...parts) => {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  };
  const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

  /** Bytes of a UTF-8 file as text; any other bytes are refused. */
  const decoded = (bytes, word) => {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new Refused(word);
    }
  };

  /** Standard base64 in its one spelling. */
  const unbase64 = (text, word) => {
    let raw;
    try {
      raw = atob(text);
    } catch {
      throw new Refused(word);
    }
    need(btoa(raw) === text, word);
    return Uint8Array.from(raw, (c) => c.charCodeAt(0));
  };

  const number = (text, word) => {
    need(NUMBER.test(text), word);
    return BigInt(text);
  };

  const after = (line, prefix) => {
    need(line !== undefined && line.startsWith(prefix), "format");
    return line.slice(prefix.length);
  };

  const hash = (line) => {
    const bytes = unbase64(line, "format");
    need(bytes.length === HASH_BYTES, "format");
    return bytes;
  };

  /** The parts of a receipt, read strictly; nothing is proved yet. */
  const parsed = (bytes) => {
    need(bytes.length <= MAX_BYTES, "format");
    const text = decoded(bytes, "format");
    const cut = text.indexOf("\n\n");
    need(text.startsWith("c2sp.org/tlog-proof@v1\n"), "format");
    need(cut > 0, "cut");
    const lines = text.slice(0, cut).split("\n");
    need(lines.length >= 3 && lines.length <= 3 + 63, "format");
    const entry = unbase64(after(lines[1], "extra "), "format");
    need(entry.length <= MAX_ENTRY_BYTES, "format");
    const note = text.slice(cut + 2);
    return { entry, index: number(after(lines[2], "index "), "format"), path: lines.slice(3).map(hash), ...opened(note) };
  };

  /** A signed note split into its text, its three lines and its signature lines. */
  const opened = (note) => {
    const cut = note.lastIndexOf("\n\n");
    need(cut > 0 && note.endsWith("\n"), "cut");
    const text = note.slice(0, cut + 1);
    const lines = text.slice(0, -1).split("\n");
    need(lines.length === 3 && lines[0] !== "", "format");
    const signatures = note.slice(cut + 2, -1).split("\n").map(signature);
    need(signatures.length <= 64, "format");
    return { note, text, origin: lines[0], size: number(lines[1], "format"), root: hash(lines[2]), signatures };
  };

  const signature = (line) => {
    const parts = line.split(" ");
    need(parts.length === 3 && parts[0] === "\u2014" && parts[1] !== "", "cut");
    const raw = unbase64(parts[2], "cut");
    need(raw.length >= 5, "cut");
    return { name: parts[1], id: raw.slice(0, 4), value: raw.slice(4) };
  };

  /** A public key from its text form name+id+base64; the id must belong to it. */
  const key = async (text, kind) => {
    const [, name, id, encoded] = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text.trim()) || [];
    need(name !== undefined, "key");
    const raw = unbase64(encoded, "key");
    need(raw.length === 1 + 32 && raw[0] === TYPE[kind], "key");
    const own = (await sha256(joined(utf8(`${name}\n`), raw))).slice(0, 4);
    need(hex(own) === id, "key");
    const subtle = await crypto.subtle.importKey("raw", raw.slice(1), { name: "Ed25519" }, false, ["verify"]);
    return { name, id: own, subtle };
  };

  const bears = (known, line) => line.name === known.name && same(line.id, known.id);

  const stands = (known, value, message) => crypto.subtle.verify({ name: "Ed25519" }, known.subtle, value, message);

  /** Whether the log's own key signed; a wrong line of it, or none, is refused. */
  const requireSigned = async (receipt, known) => {
    const lines = receipt.signatures.filter((line) => bears(known, line));
    need(lines.length > 0, "foreign");
    for (const line of lines) need(await stands(known, line.value, utf8(receipt.text)), "signature");
    need(receipt.origin === known.name, "foreign");
  };

  /** Name and time of each known witness that cosigned; a wrong line of one is refused. */
  const cosigned = async (receipt, witnesses) => {
    const found = [];
    for (const known of witnesses) {
      for (const line of receipt.signatures.filter((one) => bears(known, one))) {
        need(line.value.length === 8 + 64, "cosignature");
        const at = new DataView(line.value.buffer, line.value.byteOffset).getBigUint64(0);
        const message = utf8(`cosignature/v1\ntime ${at}\n${receipt.text}`);
        need(await stands(known, line.value.slice(8), message), "cosignature");
        found.push({ name: known.name, at: new Date(Number(at) * 1000) });
      }
    }
    return found;
  };

  /** Follows the inclusion proof from the entry to the signed root (RFC 9162 section 2.1.3.2). */
  const requireIncluded = async (receipt) => {
    need(receipt.index < receipt.size, "inclusion");
    let fn = receipt.index;
    let sn = receipt.size - 1n;
    let total = await sha256(joined(Uint8Array.of(0), receipt.entry));
    for (const sibling of receipt.path) {
      need(sn !== 0n, "inclusion");
      if (fn & 1n || fn === sn) {
        total = await sha256(joined(Uint8Array.of(1), sibling, total));
        while (!(fn & 1n) && fn !== 0n) {
          fn >>= 1n;
          sn >>= 1n;
        }
      } else {
        total = await sha256(joined(Uint8Array.of(1), total, sibling));
      }
      fn >>= 1n;
      sn >>= 1n;
    }
    need(sn === 0n && same(total, receipt.root), "inclusion");
  };

  const byCodePoint = (a, b) => {
    const [left, right] = [Array.from(a), Array.from(b)];
    for (let i = 0; i < Math.min(left.length, right.length); i += 1) {
      const step = left[i].codePointAt(0) - right[i].codePointAt(0);
      if (step) return step;
    }
    return left.length - right.length;
  };

  /** The one canonical spelling of a value. */
  const canonical = (value) => {
    if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
    if (value === null || typeof value !== "object") return JSON.stringify(value);
    const members = Object.keys(value).sort(byCodePoint);
    return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
  };

  /** The entry's members; refused unless it is the canonical form of version 1. */
  const entryOf = (receipt) => {
    const text = decoded(receipt.entry, "entry");
    let value;
    try {
      value = JSON.parse(text);
    } catch {
      throw new Refused("entry");
    }
    need(value !== null && typeof value === "object" && canonical(value) === text, "entry");
    need(Object.keys(value).sort().join() === FIELDS.join() && value.v === 1, "entry");
    return value;
  };

  /** Everything that a receipt proves under the given keys; throws Refused. */
  const check = async (bytes, logKey, witnessKeys) => {
    need(globalThis.crypto && crypto.subtle, "unsupported");
    const receipt = parsed(bytes);
    const known = await key(logKey, "log");
    const witnesses = await Promise.all(witnessKeys.map((text) => key(text, "witness")));
    await requireSigned(receipt, known);
    await requireIncluded(receipt);
    return { receipt, entry: entryOf(receipt), cosigned: await cosigned(receipt, witnesses) };
  };

  // --- the page -------------------------------------------------------------------------------------------------

  const make = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const start = (page) => {
    const words = (name) => page.querySelector(`[data-word="${name}"]`).textContent;
    const result = page.querySelector("#receipt-result");
    const [file, logKey, witnessKeys] = ["#receipt-file", "#receipt-key", "#receipt-witnesses"].map((id) => page.querySelector(id));

    const show = (verdict, ...more) => {
      const box = make("div", undefined, "sg-note");
      box.dataset.tone = verdict === "accepted" ? "ok" : "fail";
      box.dataset.verdict = verdict;
      box.append(make("p", words(verdict)));
      result.replaceChildren(box, ...more);
    };

    const row = (list, label, value) => list.append(make("dt", label), make("dd", value, "sg-hash"));

    const facts = ({ receipt, entry, cosigned: by }) => {
      const list = make("dl", undefined, "sg-facts");
      row(list, words("f-event"), entry.event);
      row(list, words("f-object"), entry.object.join(" "));
      row(list, words("f-at"), entry.at);
      row(list, words("f-position"), `${receipt.index} / ${receipt.size}`);
      row(list, words("f-origin"), receipt.origin);
      row(list, words("f-root"), hex(receipt.root));
      row(list, words("f-witness"), by.length ? by.map((one) => `${one.name} ${one.at.toISOString()}`).join("\n") : words("none"));
      row(list, words("f-entry"), JSON.stringify(entry, null, 1));
      return list;
    };

    const limits = (found) => {
      const list = make("ul");
      for (const word of ["l-names", "l-times", ...(found.cosigned.length ? [] : ["l-witness"]), "l-later"]) list.append(make("li", words(word)));
      return [make("h2", words("proved")), make("p", words("p-included")), make("h2", words("unproved")), list];
    };

    let turn = 0;
    const run = async () => {
      const [chosen, mine] = [file.files[0], (turn += 1)];
      if (!chosen) return;
      try {
        const keys = witnessKeys.value.split("\n").filter((line) => line.trim());
        need(chosen.size <= MAX_BYTES, "format");
        const found = await check(new Uint8Array(await chosen.arrayBuffer()), logKey.value, keys);
        if (mine === turn) show("accepted", facts(found), ...limits(found));
      } catch (problem) {
        // A browser without Ed25519 refuses to import the key; everything else that is thrown names its sentence.
        if (mine === turn) show(problem instanceof Refused ? problem.word : "unsupported");
      }
    };
    for (const field of [file, logKey, witnessKeys]) field.addEventListener("change", run);
  };

  const page = document.querySelector("#receipt-check");
  if (page) start(page);
})();
