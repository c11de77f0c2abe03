"""The first half of the demo: people sign in, files come into the archive, a partner is invited."""

import hashlib
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from gateway.archive.models import ItemVersion
from gateway.demo import papers
from gateway.demo.browser import Browser
from gateway.demo.company import PARTNERS, USCC, Company, email
from gateway.demo.people import Person, acting
from gateway.demo.stage import Stage, last, need, wait
from gateway.deps import Deps
from gateway.identity import service as identity
from gateway.identity.models import Contact

FILES = {
    "平面图": ("平面布置图.pdf", "PLAN", ("F07",)),
    "预算": ("预算书.pdf", "BUDGET", ("F08",)),
    "现场照片": ("现场.jpg", "RENDERING", ("F07",)),
}


class Intake(Stage):
    """What has to be there before anything can be shared."""

    def __init__(self, deps: Deps, company: Company, origin: str, out: Path) -> None:
        super().__init__(deps, company, origin, out)
        self.sources: dict[str, bytes] = {}
        self.items: dict[str, str] = {}
        self.case = ""

    def sign_in_staff(self) -> str:
        """Everybody the demo needs signs in as people do."""
        names = ("biz.sj", "arc1", "arc2", "adm", "hod.sj", "gm")
        for name in names:
            self.browser(name)
        return "、".join(names)

    def upload(self) -> str:
        """A case with three files, each sent in raw parts and inspected."""
        folder = self.out / "papers"
        self.sources = {
            "平面图": papers.drawing(folder),
            "预算": papers.budget(folder),
            "现场照片": papers.photo(),
        }
        browser = self.browser("biz.sj")
        client = self.company.clients["示例客户甲"]
        browser.get(f"/clients/{client}/cases/new")
        page = browser.submit("/cases/new", {"title": "示例客户甲 施工案卷", "location": "DA-01-1"})
        self.case = last(page.url, "/cases/")
        for title, (name, kind, classes) in FILES.items():
            self.items[title] = self._item(browser, title, name, kind, classes)
        self._item(browser, "内部记录", "内部记录.pdf", "OTHER", ("F12",), data=self.sources["预算"])
        return f"{len(self.sources)} 个文件，{sum(map(len, self.sources.values())):,} 字节"

    def _item(
        self,
        browser: Browser,
        title: str,
        name: str,
        kind: str,
        classes: Sequence[str],
        data: bytes | None = None,
    ) -> str:
        browser.get(f"/cases/{self.case}/items/new")
        page = browser.submit("/items/new", {"title": title, "type": kind, "classes": list(classes)})
        item = last(page.url, "/items/")
        content = data if data is not None else self.sources[title]
        token = page.value("csrf_token")
        form = {"csrf_token": token, "name": name, "size": str(len(content))}
        begun = browser.send(f"/items/{item}/uploads", form).json
        for number, start in enumerate(range(0, len(content), begun["part_size"]), 1):
            sent = browser.put(
                f"/uploads/{begun['upload']}/parts/{number}",
                content[start : start + begun["part_size"]],
                token,
            )
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
        fields = {
            "name": contact,
            "title": "业务经理",
            "mobile": "100-0000-0101",
            "email": email(account),
            "signer": "y",
            "deliver": "show",
        }
        shown = office.submit("/contacts/new", fields)
        link = re.search(r"/enrol/[\w-]+", shown.text)
        need(link is not None, "no one-time link was shown")
        person, code = self._enrol(link[0] if link else "", email(account))
        self.company.people["s1"] = person
        contact_id = self._contact_id(account)
        office.get(f"/contacts/{contact_id}")
        office.submit("/confirm", {"code": code, "identity_check": "IN_PERSON"})
        self.company.people["s1"] = Person(
            f"contact:{contact_id}", person.email, person.password, person.secret
        )
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
        read_back = re.search(
            r"(?<!\d)(\d{3}\s?\d{3})(?!\d)",
            re.sub(r"<(svg|style|script).*?</\1>|<[^>]+>", " ", done.text, flags=re.S),
        )
        need(read_back is not None, f"no code to read back ({done.status})")
        return person, read_back[1].replace(" ", "") if read_back else ""
