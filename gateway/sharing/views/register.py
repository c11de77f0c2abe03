"""The staff's register of shares, and one share with all its acts."""

from collections.abc import Callable
from typing import Any

from flask import Response, redirect, request, url_for
from flask_babel import gettext
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import Invalid
from gateway.principal import Role, Text
from gateway.sharing import queries, service
from gateway.sharing.forms import RELATIONS, DecisionForm, ReasonForm, RevokeForm
from gateway.sharing.queries import ShareFilter
from gateway.sharing.queries.results import SharePage
from gateway.sharing.rules import MAJOR_TEXT, PURPOSES, SHARE
from gateway.sharing.service import sidecars
from gateway.sharing.views.room import APPLICANTS, READERS, bp, done
from gateway.web.kit import access, actor, deps, flash_text, nav, now, page

nav(bp, _("共享登记"), "shares", group="share", roles=READERS, order=10)

STAGE_TEXT = {
    "DEPT": Text("部门审批", "Department"),
    "ARC": Text("档案审核", "Archive"),
    "GM": Text("总经理审批", "General manager"),
}
DECISION_TEXT = {
    "CONSENT": (Text("同意", "Consented"), "ok"),
    "REJECT": (Text("驳回", "Rejected"), "fail"),
    "RETURN": (Text("退回修改", "Sent back"), "wait"),
    "VOID": (Text("已作废", "Void"), ""),
    "": (Text("等待中", "Waiting"), "wait"),
}


@bp.get("/shares")
@access("staff", roles=READERS)
def shares() -> Response:
    """The register 对外提供登记表, with filters in the address."""
    asked = ShareFilter(
        state=request.args.get("state", "") if request.args.get("state", "") in SHARE.states else "",
        purpose=request.args.get("purpose", "") if request.args.get("purpose", "") in PURPOSES else "",
        organisation=request.args.get("partner", "")[:32],
        agreement=request.args.get("agreement", "")[:32],
    )
    found = queries.share_list(deps(), asked, actor=actor(), now=now())
    return page("sharing/shares.html", found=found, asked=asked, states=SHARE.states, purposes=PURPOSES)


@bp.get("/shares/<share_id>")
@access("staff", roles=READERS)
def share(share_id: str) -> Response:
    """One share: facts, contents, conditions, copies, approvals, timeline, and the acts open to the reader."""
    return share_page(share_id)


def share_page(share_id: str, **forms: Any) -> Response:
    """The page of a share, with a form that is shown again if one was refused."""
    found = queries.share_page(deps(), share_id, actor=actor(), now=now())
    given: dict[str, Any] = {
        "decision_form": DecisionForm(formdata=None, data={"version_hash": found.version_hash}),
        "pause_form": ReasonForm(formdata=None),
        "revoke_form": RevokeForm(formdata=None),
    } | forms
    for name, form in given.items():
        form.scoped(name.partition("_")[0])
    return page(
        "sharing/share.html",
        share=found,
        decision=sidecars.share_checklist(deps(), share_id, actor=actor(), now=now()),
        remedies=remedies(found),
        relations=RELATIONS,
        majors=MAJOR_TEXT,
        stage_text=STAGE_TEXT,
        decision_text=DECISION_TEXT,
        status=422 if forms else 200,
        **given,
    )


def remedies(found: SharePage) -> dict[str, str]:
    """Where the reader may mend an unmet condition: a supplement or a new agreement, what the share holds."""
    where = _agreement_remedies(found)
    edit = url_for("sharing.edit_share", share_id=found.row.id)
    return where | ({"MARK": edit, "FILED": edit, "SCAN": edit} if found.acts.edit else {})


def _agreement_remedies(found: SharePage) -> dict[str, str]:
    if not actor().has(Role.GM, Role.DGM, Role.ADM, Role.AUD, Role.ARC):
        return {}
    ledger = url_for("signing.ledger")
    where = {"NDA": ledger, "COVER": ledger}
    if not actor().has(Role.ADM):
        return where
    for contact in found.contacts:
        if contact.agreement_id:
            given: dict[str, Any] = {"from": contact.agreement_id, "kind": "SUPPLEMENT"}
            where["COVER"] = url_for("signing.new_agreement", **given)
        else:
            where["NDA"] = url_for("signing.new_agreement", organisation=contact.organisation_id)
    return where


@bp.get("/shares/<share_id>/checklist")
@access("staff", roles=READERS)
def checklist(share_id: str) -> Response:
    """The fragment with the live checklist."""
    found = queries.share_page(deps(), share_id, actor=actor(), now=now())
    decision = sidecars.share_checklist(deps(), share_id, actor=actor(), now=now())
    return page(
        "sharing/_checklist.html",
        share=found,
        decision=decision,
        remedies=remedies(found),
    )


def back(share_id: str, words: str) -> AnyResponse:
    """To the share's page, saying what was done."""
    flash_text(words)
    return redirect(url_for("sharing.share", share_id=share_id), 303)


@bp.post("/shares/<share_id>/submit")
@access("staff", roles=APPLICANTS)
def submit(share_id: str) -> AnyResponse:
    """Hands the draft in; refused with the checklist while a condition is unmet."""
    service.submit(deps(), share_id, actor=actor(), now=now())
    return back(share_id, gettext("已提交审批。"))


@bp.post("/shares/<share_id>/take-back")
@access("staff", roles=APPLICANTS)
def take_back(share_id: str) -> AnyResponse:
    """Back to a draft; approvals given so far become void."""
    service.take_back(deps(), share_id, actor=actor(), now=now())
    return back(share_id, gettext("已撤回为草稿，已有审批作废。"))


@bp.post("/shares/<share_id>/cancel")
@access("staff", roles=APPLICANTS)
def cancel(share_id: str) -> AnyResponse:
    """Ends a draft or a request."""
    service.cancel(deps(), share_id, actor=actor(), now=now())
    return back(share_id, gettext("已取消。"))


def _paused(share_id: str, act: Callable[..., None], words: str) -> AnyResponse:
    queries.share_page(deps(), share_id, actor=actor(), now=now())
    form = ReasonForm()
    if not done(form, lambda: act(deps(), share_id, form.reason.data or "", actor=actor(), now=now())):
        return share_page(share_id, pause_form=form)
    return back(share_id, words)


@bp.post("/shares/<share_id>/suspend")
@access("staff", roles={Role.ADM})
def suspend(share_id: str) -> AnyResponse:
    """Pauses a share."""
    return _paused(share_id, service.suspend, gettext("已暂停，正在进行的下载会停止。"))


@bp.post("/shares/<share_id>/resume")
@access("staff", roles={Role.ADM})
def resume(share_id: str) -> AnyResponse:
    """Lets a paused share go on."""
    return _paused(share_id, service.resume, gettext("已恢复。"))


@bp.post("/shares/<share_id>/revoke")
@access("staff", roles=READERS - {Role.AUD})
def revoke(share_id: str) -> AnyResponse:
    """Ends a share at once, confirmed by its typed number."""
    found = queries.share_page(deps(), share_id, actor=actor(), now=now())
    form = RevokeForm()

    def act() -> None:
        if (form.number.data or "").strip().upper() != found.row.number:
            raise Invalid(
                "number", Text("编号不符，没有撤销。", "The number does not match. Nothing was revoked.")
            )
        service.revoke(deps(), share_id, form.reason.data or "", actor=actor(), now=now())

    if not done(form, act):
        return share_page(share_id, revoke_form=form)
    return back(share_id, gettext("已撤销，所有链接、下载和口令已停止。"))
