"""What waits for the reader's decision, and the decisions."""

from collections.abc import Callable

from flask import Response
from flask_babel import gettext
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from gateway.sharing import queries, service
from gateway.sharing.forms import DecisionForm
from gateway.sharing.views.register import back, share_page
from gateway.sharing.views.room import APPROVERS, bp, done
from gateway.web.kit import access, actor, deps, nav, now, page

nav(
    bp, _("共享审批"), "approvals", group="todo", roles=APPROVERS, order=10,
    count=lambda: queries.waiting_count(deps(), actor=actor(), now=now()),
)  # fmt: skip


@bp.get("/approvals")
@access("staff", roles=APPROVERS)
def approvals() -> Response:
    """Shares that wait for this person."""
    return page("sharing/approvals.html", rows=queries.waiting(deps(), actor=actor(), now=now()))


def _decided(share_id: str, act: Callable[[DecisionForm], None], words: str) -> AnyResponse:
    queries.share_page(deps(), share_id, actor=actor(), now=now())
    form = DecisionForm()
    if not done(form, lambda: act(form)):
        return share_page(share_id, decision_form=form)
    return back(share_id, words)


@bp.post("/shares/<share_id>/consent")
@access("staff", roles=APPROVERS)
def consent(share_id: str) -> AnyResponse:
    """Consents to the very version that was seen."""

    def act(form: DecisionForm) -> None:
        service.consent(deps(), share_id, version_hash=form.version_hash.data or "", actor=actor(), now=now())

    return _decided(share_id, act, gettext("已同意。"))


@bp.post("/shares/<share_id>/reject")
@access("staff", roles=APPROVERS)
def reject(share_id: str) -> AnyResponse:
    """Ends the request with a reason."""

    def act(form: DecisionForm) -> None:
        service.reject(deps(), share_id, form.reason.data or "", actor=actor(), now=now())

    return _decided(share_id, act, gettext("已驳回，申请人会看到理由。"))


@bp.post("/shares/<share_id>/send-back")
@access("staff", roles=APPROVERS)
def send_back(share_id: str) -> AnyResponse:
    """Returns it to the applicant with a reason."""

    def act(form: DecisionForm) -> None:
        service.send_back(deps(), share_id, form.reason.data or "", actor=actor(), now=now())

    return _decided(share_id, act, gettext("已退回修改，申请人会看到理由。"))
