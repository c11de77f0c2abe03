"""The main job as the demo tells it: each step is one thing people do in the portal, over HTTP."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from gateway.demo import opening
from gateway.demo.browser import Page
from gateway.demo.company import Company
from gateway.demo.intake import Intake
from gateway.demo.stage import last, need, wait
from gateway.deps import Deps
from gateway.sharing.models import Bundle

REASON = "演示：供应商变更，不再需要这些资料"


class Story(Intake):
    """The main job, told in steps that run in order; each returns one line of detail, or raises Failed."""

    def __init__(self, deps: Deps, company: Company, origin: str, out: Path) -> None:
        super().__init__(deps, company, origin, out)
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

    def refused(self) -> str:
        """A share is drafted and its submission refused with a checklist, because no agreement is in force."""
        browser = self.browser("biz.sj")
        browser.get(f"/shares/new?case={self.case}")
        fields = {
            "title": "示例项目 施工图与预算",
            "items": list(self.items.values()),
            "contacts": [self.company.people["s1"].id],
            "purpose": "P03",
            "relation": "ENTRUST",
            "valid_days": "7",
            "download_limit": "3",
        }
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
        asked = browser.send(
            f"/my/shares/{self.share}/prepare",
            {"csrf_token": home.value("csrf_token"), "items": list(self.items.values())},
        )
        need(asked.status in (404, 409), f"asking for a copy answered {asked.status}")
        need(
            self.events("bundle.prepare") == 0 and self.events("refused") > 0, "the refusal is not in the log"
        )
        return f"{asked.status}，零字节，拒绝已入日志"

    # Agreement

    def agree(self) -> str:
        """Drafted and sent by the office, signed by the partner, countersigned; the undertaking accepted."""
        office = self.browser("adm")
        office.get("/agreements/new")
        today = (self.deps.clock() + timedelta(hours=8)).date()
        fields = {
            "organisation": self.company.organisations["supplier"],
            "signer": self.company.people["s1"].id,
            "all_clients": "y",
            "classes": ["F07", "F08"],
            "purposes": ["P01", "P03"],
            "relation": "ENTRUST",
            "valid_from": today.isoformat(),
            "valid_to": (today + timedelta(days=364)).isoformat(),
            "contact_list": "供应商联系人一",
            "incident_contact": "行政部 100-0000-0100",
            "liability": "违约方赔偿因此造成的全部损失",
            "forum": "甲方所在地人民法院",
        }
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
        need(self.events("agreement.enter_force") == 1, "the agreement is not in force")
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
        need(self.events("share.activate") == 1, "the share is not active")
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
        self.keep("bundle", "bundle.zip", got.body)
        browser.get(f"/my/bundles/{self.bundle}")
        shown = browser.submit("/passphrase")
        secret = re.search(r"\b(?:[A-Z2-7]{4}-){4}[A-Z2-7]{4}\b", shown.text)
        need(secret is not None, "no passphrase was shown")
        self.keep("passphrase", "passphrase.txt", (secret[0] if secret else "").encode())
        browser.submit("/acknowledge")
        again = browser.get(f"/my/bundles/{self.bundle}")
        need(secret is None or secret[0] not in again.text, "the passphrase is shown a second time")
        for role, name, file in (
            ("receipt", "collect.tlog-proof", "collect.tlog-proof"),
            ("manifest", "manifest.json", "manifest.json"),
        ):
            self.keep(role, file, browser.get(f"/my/bundles/{self.bundle}/files/{name}").body)
        self.keep("checkpoint_key", "checkpoint.key", self.deps.log.vkey.encode() + b"\n")
        return f"{len(got.body):,} 字节，口令显示一次后已删除"

    def open_bundle(self) -> str:
        """The passphrase opens it, a wrong one does not, and the manifest lists just what it holds."""
        bundle, passphrase = self.kept("bundle"), self.kept("passphrase").decode()
        need(not opening.opens(bundle, "AAAA-AAAA-AAAA-AAAA-AAAA"), "a wrong passphrase opens the bundle")
        self.files = opening.unzip(bundle, passphrase)
        manifest = json.loads(self.files["manifest.json"])
        need(
            self.files["manifest.json"] == self.kept("manifest"),
            "the manifest beside the bundle is another one",
        )
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
            need(
                bool(seen) and all(page.marked for page in seen),
                f"{item['name']} has a page without its mark",
            )
            pages += len(seen)
        return f"{pages} 页全部带有副本号与接收方"

    def verify_receipt(self) -> str:
        """The offline verifier accepts the receipts, without the portal."""
        self.keep("issue_receipt", "issue.tlog-proof", self.files["issue.tlog-proof"])
        said = ""
        for role in ("receipt", "issue_receipt"):
            command = [
                sys.executable,
                "-m",
                "gateway.audit",
                "verify",
                self.paths[role],
                "--key",
                self.paths["checkpoint_key"],
            ]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            need(answer.returncode == 0, answer.stdout + answer.stderr)
            said = answer.stdout.strip().splitlines()[0]
        return said

    def revoke(self) -> str:
        """The applicant revokes; the same link and a new request are refused at once."""
        applicant = self.browser("biz.sj")
        number = re.search(r"GX-20\d\d-\d{4}", applicant.get(f"/shares/{self.share}").text)
        applicant.submit("/revoke", {"reason": REASON, "number": number[0] if number else ""})
        need(self.events("share.revoke") == 1, "the share was not revoked")
        browser = self.browser("s1")
        stopped: Page = browser.get(self.ticket)
        need(
            stopped.status in (404, 409) and not stopped.body.startswith(b"PK"),
            f"the old link answered {stopped.status}",
        )
        return f"旧链接 {stopped.status}，没有字节外出"
