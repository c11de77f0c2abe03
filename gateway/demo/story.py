"""The main job as the demo tells it: each step is one thing people do in the portal, over HTTP."""

import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select

from gateway.archive.models import ItemVersion
from gateway.audit.models import Leaf
from gateway.demo import opening, papers
from gateway.demo.browser import Browser, Page
from gateway.demo.company import PARTNERS, USCC, Company, email
from gateway.demo.people import Person, acting
from gateway.deps import Deps
from gateway.identity import service as identity
from gateway.identity.models import Contact
from gateway.sharing.models import Bundle

WAIT_S = 90.0
FILES = {
    "平面图": ("平面布置图.pdf", "PLAN", ("F07",)),
    "预算": ("预算书.pdf", "BUDGET", ("F08",)),
    "现场照片": ("现场.jpg", "RENDERING", ("F07",)),
}
REASON = "演示：供应商变更，不再需要这些资料"


class Failed(Exception):
    """A step did not show what it has to show."""


class Story:
    """The demo's people, their browsers, and what they leave behind. Steps run in order; each returns one line of detail."""

    def __init__(self, deps: Deps, company: Company, origin: str, out: Path) -> None:
        self.deps, self.company, self.origin, self.out = deps, company, origin, out
        self.browsers: dict[str, Browser] = {}
        self.sources: dict[str, bytes] = {}
        self.items: dict[str, str] = {}
        self.paths: dict[str, str] = {}
        self.ticket = ""

    def steps(self) -> Sequence[tuple[str, Callable[[], str]]]:
        """Every step with its name, in order."""
        return (
            ("登录：密码与动态口令 Sign in", self.sign_in_staff),
            ("上传真实文件 Upload documents", self.upload),
            ("编目、复核、归档 File the case", self.file_case),
            ("邀请合作单位联系人 Invite a partner", self.invite),
            ("签协议前提交共享被拒 Refused before the NDA", self.refused),
            ("合作方拿不到任何内容 No byte for the partner", self.nothing),
            ("起草、签署、会签保密协议 Sign the NDA", self.agree),
            ("审批并生效 Approve the share", self.approve),
            ("制作副本 Prepare the bundle", self.prepare),
            ("领取副本与口令 Collect", self.collect),
            ("打开副本 Open the bundle", self.open_bundle),
            ("每页水印 Mark on every page", self.check_marks),
            ("核验回执 Verify the receipt", self.verify_receipt),
            ("撤销后拒绝 Refused after revocation", self.revoke),
        )

    # People

    def browser(self, name: str) -> Browser:
        """Somebody's signed-in browser."""
        if name not in self.browsers:
            self.browsers[name] = self._signed_in(self.company.people[name])
        return self.browsers[name]

    def _signed_in(self, person: Person) -> Browser:
        browser = Browser(self.origin)
        browser.get("/sign-in")
        browser.submit("/sign-in", {"email": person.email, "password": person.password})
        page = browser.submit("/verify", {"otp": person.code(self.deps.clock())})
        need(page.status == 200 and "/verify" not in page.url, f"sign-in of {person.email} ended at {page.status} {page.url}")
        return browser

    def sign_in_staff(self) -> str:
        """Everybody the demo needs signs in as people do."""
        names = ("biz.sj", "arc1", "arc2", "adm", "hod.sj", "gm")
        for name in names:
            self.browser(name)
        return "、".join(names)

    # Archive

    def upload(self) -> str:
        """A case with three files, each sent in raw parts and inspected."""
        folder = self.out / "papers"
        self.sources = {"平面图": papers.drawing(folder), "预算": papers.budget(folder), "现场照片": papers.photo()}
        browser = self.browser("biz.sj")
        client = self.company.clients["示例客户甲"]
        browser.get(f"/clients/{client}/cases/new")
        page = browser.submit("/cases/new", {"title": "示例客户甲 施工案卷", "location": "DA-01-1"})
        self.case = last(page.url, "/cases/")
        for title, (name, kind, classes) in FILES.items():
            self.items[title] = self._item(browser, title, name, kind, classes)
        self._item(browser, "内部记录", "内部记录.pdf", "OTHER", ("F12",), data=self.sources["预算"])
        return f"{len(self.sources)} 个文件，{sum(map(len, self.sources.values())):,} 字节"

    def _item(self, browser: Browser, title: str, name: str, kind: str, classes: Sequence[str], data: bytes | None = None) -> str:
        browser.get(f"/cases/{self.case}/items/new")
        page = browser.submit("/items/new", {"title": title, "type": kind, "classes": list(classes)})
        item = last(page.url, "/items/")
        content = data if data is not None else self.sources[title]
        token = page.value("csrf_token")
        form = {"csrf_token": token, "name": name, "size": str(len(content))}
        begun = browser.send(f"/items/{item}/uploads", form).json
        for number, start in enumerate(range(0, len(content), begun["part_size"]), 1):
            sent = browser.put(f"/uploads/{begun['upload']}/parts/{number}", content[start : start + begun["part_size"]], token)
            need(sent.status == 200, f"part {number} of {name}: {sent.status}")
        done = browser.send(f"/uploads/{begun['upload']}/complete", {"csrf_token": token}).json
        wait(lambda: "READY" in self._version_state(item), f"inspection of {name}")
        return item if done else ""

    def _version_state(self, item: str) -> str:
        with self.deps.database.read() as session:
            return session.scalar(select(ItemVersion.state).where(ItemVersion.item_id == item)) or ""

    def file_case(self) -> str:
        """One archivist catalogues, another confirms; the case gets its number."""
        first, second = self.browser("arc1"), self.browser("arc2")
        for browser, step in ((first, "claim"), (first, "submit"), (second, "file")):
            browser.get(f"/cases/{self.case}")
            browser.submit(f"/cases/{self.case}/{step}")
        page = second.get(f"/cases/{self.case}")
        found = re.search(r"SG01-KH·20\d\d·SJ-\d{4}", page.text)
        need(found is not None, "no file number on the case's page")
        return found[0] if found else ""

    # Partner

    def invite(self) -> str:
        """The organisation is verified, its contact invited by a one-time link, enrolled, and confirmed over the telephone."""
        adm = acting(self.deps, self.company.people["adm"], now=self.deps.clock())
        _, name, category, contacts = PARTNERS[0]
        made = identity.propose_organisation(
            self.deps, name=name, uscc=USCC, category=category, actor=adm, now=self.deps.clock(), demo=True
        )
        self.company.organisations["supplier"] = made
        office = self.browser("adm")
        office.get(f"/partners/{made}")
        office.submit("/verify", {"how": "营业执照原件已核对（演示）", "abroad": "no"})
        account, contact, _ = contacts[0]
        office.get(f"/partners/{made}/contacts/new")
        fields = {"name": contact, "title": "业务经理", "mobile": "100-0000-0101", "email": email(account), "signer": "y", "deliver": "show"}
        shown = office.submit("/contacts/new", fields)
        link = re.search(r"/enrol/[\w-]+", shown.text)
        need(link is not None, "no one-time link was shown")
        person, code = self._enrol(link[0] if link else "", email(account))
        self.company.people["s1"] = person
        contact_id = self._contact_id(account)
        office.get(f"/contacts/{contact_id}")
        office.submit("/confirm", {"code": code, "identity_check": "IN_PERSON"})
        self.company.people["s1"] = Person(f"contact:{contact_id}", person.email, person.password, person.secret)
        return f"{name} {contact}，核验码经电话核对"

    def _contact_id(self, account: str) -> str:
        with self.deps.database.read() as session:
            return session.scalar(select(Contact.id).where(Contact.email == email(account))) or ""

    def _enrol(self, path: str, address: str) -> tuple[Person, str]:
        browser = Browser(self.origin)
        browser.get(path)
        page = browser.submit(path)
        secret = re.search(r"\b[A-Z2-7]{32}\b", re.sub(r"(?<=[A-Z2-7]{4})\s(?=[A-Z2-7]{4})", "", page.text))
        need(secret is not None, "no authenticator seed on the enrolment page")
        password = "合作方口令-" + hashlib.sha256(path.encode()).hexdigest()[:16]
        person = Person("", address, password, secret[0] if secret else "")
        code = person.code(self.deps.clock() - timedelta(seconds=30))
        done = browser.submit(path, {"password": password, "password_again": password, "code": code})
        read_back = re.search(r"(?<!\d)(\d{3}\s?\d{3})(?!\d)", re.sub(r"<(svg|style|script).*?</\1>|<[^>]+>", " ", done.text, flags=re.S))
        need(read_back is not None, f"no code to read back ({done.status})")
        return person, read_back[1].replace(" ", "") if read_back else ""

    def refused(self) -> str:
        """A share is drafted and its submission refused with a checklist, because no agreement is in force."""
        browser = self.browser("biz.sj")
        browser.get(f"/shares/new?case={self.case}")
        fields = {
            "title": "示例项目 施工图与预算", "items": list(self.items.values()), "contacts": [self.company.people["s1"].id],
            "purpose": "P03", "relation": "ENTRUST", "valid_days": "7", "download_limit": "3",
        }  # fmt: skip
        page = browser.submit("/shares/new", fields)
        self.share = last(page.url, "/shares/")
        browser.get(f"/shares/{self.share}")
        refused = browser.submit(f"/shares/{self.share}/submit")
        need(refused.status == 409, f"submission before the agreement answered {refused.status}")
        need("保密协议生效" in refused.text, "the checklist does not name the agreement")
        return "409，未满足：保密协议生效、协议覆盖"

    def nothing(self) -> str:
        """The partner sees no share, and asking for a copy all the same gives nothing."""
        browser = self.browser("s1")
        home = browser.get("/my/shares")
        need(self.share not in home.text, "the partner sees a share that is not approved")
        asked = browser.send(f"/my/shares/{self.share}/prepare", {"csrf_token": home.value("csrf_token"), "items": list(self.items.values())})
        need(asked.status in (404, 409), f"asking for a copy answered {asked.status}")
        need(self._events("bundle.prepare") == 0 and self._events("refused") > 0, "the refusal is not in the log")
        return f"{asked.status}，零字节，拒绝已入日志"

    # Agreement

    def agree(self) -> str:
        """Drafted and sent by the office, read and signed by the partner, countersigned by the general manager, undertaking accepted."""
        office = self.browser("adm")
        office.get("/agreements/new")
        today = (self.deps.clock() + timedelta(hours=8)).date()
        fields = {
            "organisation": self.company.organisations["supplier"], "signer": self.company.people["s1"].id, "scope": "all", "clients": [],
            "classes": ["F07", "F08"], "purposes": ["P01", "P03"], "relation": "ENTRUST", "valid_from": today.isoformat(),
            "valid_to": (today + timedelta(days=364)).isoformat(), "contact_list": "供应商联系人一", "incident_contact": "行政部 100-0000-0100",
            "liability": "违约方赔偿因此造成的全部损失", "forum": "甲方所在地人民法院",
        }  # fmt: skip
        page = office.submit("/agreements/new", fields)
        self.agreement = last(page.url, "/agreements/")
        office.get(f"/agreements/{self.agreement}")
        office.submit("/send")
        partner, path = self.browser("s1"), f"/my/agreements/{self.agreement}"
        partner.get(path)
        signed = partner.submit("/sign", {"name": "供应商联系人一", "consent": "y"})
        need(signed.status == 200, f"signing answered {signed.status}")
        general = self.browser("gm")
        general.get(f"/agreements/{self.agreement}")
        general.submit("/countersign")
        partner.get("/my/pledge")
        partner.submit("/my/pledge", {"consent": "y"})
        need(self._events("agreement.enter_force") == 1, "the agreement is not in force")
        return "对方已签，总经理已会签，个人承诺已接受"

    def approve(self) -> str:
        """Submitted again with every condition met; the department and the archive consent."""
        applicant = self.browser("biz.sj")
        applicant.get(f"/shares/{self.share}")
        sent = applicant.submit(f"/shares/{self.share}/submit")
        need(sent.status == 200, f"submission answered {sent.status}")
        for name in ("hod.sj", "arc1"):
            browser = self.browser(name)
            browser.get(f"/shares/{self.share}")
            browser.submit("/consent")
        need(self._events("share.activate") == 1, "the share is not active")
        return "部门、档案室两级同意，共享已生效"

    # Release

    def prepare(self) -> str:
        """The partner asks for all files at once; the worker marks, verifies, issues and seals."""
        browser = self.browser("s1")
        browser.get(f"/my/shares/{self.share}")
        page = browser.submit("/prepare", {"items": list(self.items.values()), "format": ""})
        self.bundle = last(page.url, "/my/bundles/")
        wait(lambda: self._bundle_state() != "PREPARING", "the bundle")
        need(self._bundle_state() == "READY", f"the bundle is {self._bundle_state()}")
        return f"状态 READY，{len(self.items)} 个文件"

    def _bundle_state(self) -> str:
        with self.deps.database.read() as session:
            return session.get_one(Bundle, self.bundle).state

    def collect(self) -> str:
        """Collecting spends a download and gives a one-time link; then the passphrase is shown once."""
        browser = self.browser("s1")
        browser.get(f"/my/bundles/{self.bundle}")
        page = browser.submit("/collect")
        links = page.links("/t/")
        need(len(links) == 1, f"collecting gave {len(links)} links ({page.status})")
        self.ticket = links[0]
        got = browser.get(self.ticket)
        need(got.status == 200, f"the download answered {got.status}")
        self._keep("bundle", "bundle.zip", got.body)
        browser.get(f"/my/bundles/{self.bundle}")
        shown = browser.submit("/passphrase")
        secret = re.search(r"\b(?:[A-Z2-7]{4}-){4}[A-Z2-7]{4}\b", shown.text)
        need(secret is not None, "no passphrase was shown")
        self._keep("passphrase", "passphrase.txt", (secret[0] if secret else "").encode())
        browser.submit("/acknowledge")
        again = browser.get(f"/my/bundles/{self.bundle}")
        need(secret is None or secret[0] not in again.text, "the passphrase is shown a second time")
        for role, name, file in (("receipt", "collect.tlog-proof", "collect.tlog-proof"), ("manifest", "manifest.json", "manifest.json")):
            self._keep(role, file, browser.get(f"/my/bundles/{self.bundle}/files/{name}").body)
        self._keep("checkpoint_key", "checkpoint.key", self.deps.log.vkey.encode() + b"\n")
        return f"{len(got.body):,} 字节，口令显示一次后已删除"

    def open_bundle(self) -> str:
        """The passphrase opens it, a wrong one does not, and the manifest lists just what it holds."""
        bundle, passphrase = self._kept("bundle"), self._kept("passphrase").decode()
        need(not opening.opens(bundle, "AAAA-AAAA-AAAA-AAAA-AAAA"), "a wrong passphrase opens the bundle")
        self.files = opening.unzip(bundle, passphrase)
        manifest = json.loads(self.files["manifest.json"])
        need(self.files["manifest.json"] == self._kept("manifest"), "the manifest beside the bundle is another one")
        for item in manifest["items"]:
            digest = hashlib.sha256(self.files[item["name"]]).hexdigest()
            need(digest == item["marked_sha256"], f"{item['name']} is not what the manifest says")
        self.manifest = manifest
        return "、".join(sorted(self.files))

    def check_marks(self) -> str:
        """Every page of every file differs from its source in at least three regions, and in nothing else of its shape."""
        pages = 0
        by_digest = {hashlib.sha256(data).hexdigest(): data for data in self.sources.values()}
        for item in self.manifest["items"]:
            seen = opening.compare(by_digest[item["source_sha256"]], self.files[item["name"]])
            need(bool(seen) and all(page.marked for page in seen), f"{item['name']} has a page without its mark")
            pages += len(seen)
        return f"{pages} 页全部带有副本号与接收方"

    def verify_receipt(self) -> str:
        """The offline verifier accepts the receipts, without the portal."""
        self._keep("issue_receipt", "issue.tlog-proof", self.files["issue.tlog-proof"])
        for role in ("receipt", "issue_receipt"):
            command = [sys.executable, "-m", "gateway.audit", "verify", self.paths[role], "--key", self.paths["checkpoint_key"]]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            need(answer.returncode == 0, answer.stdout + answer.stderr)
        return answer.stdout.strip().splitlines()[0]

    def revoke(self) -> str:
        """The applicant revokes; the same link and a new request are refused at once."""
        applicant = self.browser("biz.sj")
        number = re.search(r"GX-20\d\d-\d{4}", applicant.get(f"/shares/{self.share}").text)
        applicant.submit("/revoke", {"reason": REASON, "number": number[0] if number else ""})
        need(self._events("share.revoke") == 1, "the share was not revoked")
        browser = self.browser("s1")
        stopped: Page = browser.get(self.ticket)
        need(stopped.status in (404, 409) and not stopped.body.startswith(b"PK"), f"the old link answered {stopped.status}")
        return f"旧链接 {stopped.status}，没有字节外出"

    # What is left behind

    def _keep(self, role: str, name: str, data: bytes) -> None:
        path = self.out / name
        path.write_bytes(data)
        self.paths[role] = str(path)

    def _kept(self, role: str) -> bytes:
        return Path(self.paths[role]).read_bytes()

    def _events(self, event: str) -> int:
        with self.deps.database.read() as session:
            return session.scalar(select(func.count()).select_from(Leaf).where(Leaf.event == event)) or 0


def need(condition: bool, otherwise: str) -> None:
    """Ends the step with what was seen instead."""
    if not condition:
        raise Failed(otherwise)


def last(url: str, after: str) -> str:
    """The id that follows a piece of an address; ends the step when there is none."""
    found = re.search(re.escape(after) + r"([0-9a-f]{32})", url)
    need(found is not None, f"no id after {after} in {url}")
    return found[1] if found else ""


def wait(until: Callable[[], bool], what: str) -> None:
    """Looks every tenth of a second until it is so; ends the step after WAIT_S."""
    pause = threading.Event()
    for _ in range(int(WAIT_S * 10)):
        if until():
            return
        pause.wait(0.1)
    raise Failed(f"{what} took longer than {WAIT_S:.0f} s")


