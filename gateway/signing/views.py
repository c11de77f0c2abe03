"""Pages of the company: the ledger of agreements, a new one, one agreement with its steps; partners and templates beside."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from werkzeug.wrappers import Response as AnyResponse

from gateway.principal import Role
from gateway.registers.files import MIME
from gateway.registers.files import Form as FileForm
from gateway.signing import pages, queries, service
from gateway.signing.forms import CountersignForm, DraftForm, ReasonForm
from gateway.signing.paper_views import add_paper_pages
from gateway.signing.partner_views import add_partner_pages
from gateway.signing.results import DraftChoices, LedgerFilter
from gateway.signing.rules import AGREEMENT
from gateway.signing.template_views import add_template_pages
from gateway.web.kit import Form, access, actor, deps, flash_text, language, nav, now, page

READERS = frozenset({Role.GM, Role.DGM, Role.ADM, Role.AUD, Role.ARC})
ENDING = (7, 30, 90)

bp = Blueprint("signing", __name__, template_folder="templates")
nav(bp, lazy_gettext("保密协议"), "ledger", group="share", roles=READERS, icon="pen", order=40)
nav(
    bp,
    lazy_gettext("协议会签"),
    "to_countersign",
    group="todo",
    roles={Role.GM},
    icon="pen",
    order=40,
    count=lambda: queries.waiting_countersignature(deps()),
)


@bp.get("/agreements")
@access("staff", roles=READERS)
def ledger() -> Response:
    """The ledger, with filters in the address, and who has not signed."""
    asked = _filter()
    found = queries.ledger(deps(), asked, actor=actor(), now=now())
    return page("signing/ledger.html", found=found, asked=asked, states=AGREEMENT.states, ending=ENDING)


@bp.get("/agreements/ledger.<any(csv, xlsx, pdf):form>")
@access("staff", roles=READERS)
def ledger_file(form: FileForm) -> Response:
    """The ledger under the same filters as a file; the log keeps that it was taken."""
    found = queries.ledger(deps(), _filter(), actor=actor(), now=now())
    data = service.export_ledger(deps(), found.rows, form, language(), actor=actor(), now=now())
    return pages.file(data, MIME[form], f"agreements.{form}", attached=True)


def _filter() -> LedgerFilter:
    state, ending = request.args.get("state", ""), request.args.get("ending", type=int)
    return LedgerFilter(
        state=state if state in AGREEMENT.states else "",
        organisation=request.args.get("organisation", "")[:32],
        ending=ending if ending in ENDING else None,
    )


@bp.get("/agreements/countersign")
@access("staff", roles={Role.GM})
def to_countersign() -> AnyResponse:
    """The agreements that wait for the company's signature."""
    return redirect(url_for("signing.ledger", state="PARTNER_SIGNED"))


@bp.route("/agreements/new", methods=["GET", "POST"])
@access("staff", roles={Role.ADM})
def new_agreement() -> AnyResponse:
    """A new agreement; `organisation` chooses the other party, `from` takes over the scope of an earlier agreement."""
    given = queries.draft_choices(deps(), actor=actor(), now=now())
    form = DraftForm(data=_start(given)).offer(given)
    made = pages.tried(
        form, lambda: service.draft(deps(), form.scope(given.contacts), actor=actor(), now=now())
    )
    if made is not None:
        flash_text(_("协议草稿已保存，核对后发送。"))
        return redirect(url_for("signing.agreement", agreement_id=made))
    return page("signing/agreement_form.html", form=form, given=given, status=pages.status(form))


def _start(given: DraftChoices) -> dict[str, Any]:
    start: dict[str, Any] = {"valid_from": given.first, "valid_to": given.last}
    earlier, organisation = request.args.get("from", ""), request.args.get("organisation", "")
    if earlier:
        start = queries.start_from(deps(), earlier, actor=actor(), now=now())
        if request.args.get("kind") == "SUPPLEMENT":
            start |= {"kind": "SUPPLEMENT", "parent": earlier, "valid_to": start["last"]}
        return start
    if organisation:
        signer = next((s.id for s in given.signers if s.organisation_id == organisation), "")
        names = given.contacts.get(organisation, "")
        start.update(organisation=organisation, signer=signer, contact_list=names)
    return start


@bp.get("/agreements/<agreement_id>")
@access("staff", roles=READERS)
def agreement(agreement_id: str) -> Response:
    """One agreement: its facts, its text, its history, the steps open to the reader."""
    return agreement_page(agreement_id, None)


def agreement_page(agreement_id: str, tried: Form | None) -> Response:
    """The page, with a form that is shown again if one was refused."""
    found = queries.agreement_page(deps(), agreement_id, actor=actor(), now=now())
    reason = tried if isinstance(tried, ReasonForm) else ReasonForm(formdata=None)
    confirm = tried if isinstance(tried, CountersignForm) else CountersignForm(formdata=None)
    confirm.pdf_sha256.data = found.row.pdf_sha256
    return page(
        "signing/agreement.html",
        found=found,
        reason=reason,
        confirm=confirm,
        status=pages.status(reason, confirm),
    )


@bp.post("/agreements/<agreement_id>/send")
@access("staff", roles={Role.ADM})
def send(agreement_id: str) -> AnyResponse:
    """Sends a draft to its signer."""
    service.send(deps(), agreement_id, actor=actor(), now=now())
    flash_text(_("已发送，签署人会收到通知。"))
    return redirect(url_for("signing.agreement", agreement_id=agreement_id))


@bp.post("/agreements/<agreement_id>/countersign")
@access("staff", roles={Role.GM})
def countersign(agreement_id: str) -> AnyResponse:
    """Signs for the company; the document confirmed is the one whose digest the page carried."""
    form = CountersignForm()
    shown = form.pdf_sha256.data or ""
    if pages.done(
        form, lambda: service.countersign(deps(), agreement_id, pdf_sha256=shown, actor=actor(), now=now())
    ):
        flash_text(_("已会签。"))
        return redirect(url_for("signing.agreement", agreement_id=agreement_id))
    return agreement_page(agreement_id, form)


_REASONED: dict[str, Callable[..., None]] = {"void": service.void, "terminate": service.terminate}


@bp.post("/agreements/<agreement_id>/<any(void, terminate):event>")
@access("staff", roles={Role.ADM, Role.GM})
def end_agreement(agreement_id: str, event: str) -> AnyResponse:
    """Voids what was not countersigned, or ends what was; with a reason."""
    form = ReasonForm()
    why, act = form.reason.data or "", _REASONED[event]
    if pages.done(form, lambda: act(deps(), agreement_id, why, actor=actor(), now=now())):
        flash_text(_("已作废。") if event == "void" else _("已终止，相关分享已停止。"), "info")
        return redirect(url_for("signing.agreement", agreement_id=agreement_id))
    return agreement_page(agreement_id, form)


@bp.get("/agreements/<agreement_id>/pdf")
@access("staff", roles=READERS)
def pdf(agreement_id: str) -> Response:
    """The very bytes that are signed, once sealed with every signature; a draft with 草稿 on every page."""
    return pages.file(
        service.document(deps(), agreement_id, actor=actor(), now=now()), "application/pdf", "agreement.pdf"
    )


@bp.get("/agreements/<agreement_id>/pages/<int:number>.webp")
@access("staff", roles=READERS)
def page_image(agreement_id: str, number: int) -> Response:
    """One page as an image."""
    return pages.file(
        service.page_webp(deps(), agreement_id, number, actor=actor(), now=now()),
        "image/webp",
        f"{number}.webp",
    )


@bp.get("/agreements/<agreement_id>/certificate")
@access("staff", roles=READERS)
def certificate(agreement_id: str) -> Response:
    """The certificate of completion."""
    return pages.file(
        service.certificate_pdf(deps(), agreement_id, actor=actor()), "application/pdf", "certificate.pdf"
    )


@bp.get("/agreements/<agreement_id>/evidence")
@access("staff", roles=READERS)
def evidence(agreement_id: str) -> Response:
    """Document, evidence and its signature, to be checked by hand."""
    data = service.evidence_zip(deps(), agreement_id, actor=actor(), now=now())
    return pages.file(data, "application/zip", "evidence.zip", attached=True)


add_paper_pages(bp)
add_partner_pages(bp)
add_template_pages(bp)
