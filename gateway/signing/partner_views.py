"""Pages of partners: their agreements, reading, signing, declining and ending one, the personal undertaking."""

from collections.abc import Callable

from flask import Blueprint, Response, redirect, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from werkzeug.wrappers import Response as AnyResponse

from gateway.signing import pages, queries, service
from gateway.signing.forms import PledgeForm, ReasonForm, SignForm
from gateway.web.kit import Form, access, actor, deps, flash_text, language, nav, now, page

# A drawing of the largest size taken, as text, beside the form's other fields.
SIGN_BODY = 448 * 1024


def add_partner_pages(bp: Blueprint) -> None:
    """Enters the pages of this module into signing's blueprint."""
    bp.add_url_rule("/my/agreements", view_func=mine, methods=["GET"])
    bp.add_url_rule("/my/agreements/<agreement_id>", view_func=my_agreement, methods=["GET"])
    bp.add_url_rule("/my/agreements/<agreement_id>/view", view_func=my_view, methods=["POST"])
    bp.add_url_rule("/my/agreements/<agreement_id>/sign", view_func=my_sign, methods=["POST"])
    bp.add_url_rule("/my/agreements/<agreement_id>/decline", view_func=my_decline, methods=["POST"])
    bp.add_url_rule("/my/agreements/<agreement_id>/terminate", view_func=my_terminate, methods=["POST"])
    bp.add_url_rule("/my/agreements/<agreement_id>/pdf", view_func=my_pdf, methods=["GET"])
    bp.add_url_rule(
        "/my/agreements/<agreement_id>/pages/<int:number>.webp", view_func=my_page, methods=["GET"]
    )
    bp.add_url_rule("/my/agreements/<agreement_id>/certificate", view_func=my_certificate, methods=["GET"])
    bp.add_url_rule("/my/agreements/<agreement_id>/evidence", view_func=my_evidence, methods=["GET"])
    bp.add_url_rule("/my/pledge", view_func=my_pledge, methods=["GET", "POST"])
    bp.add_url_rule("/my/terms", view_func=my_terms, methods=["POST"])
    nav(bp, lazy_gettext("协议"), "mine", kind="partner", icon="pen", order=20)


@access("partner")
def mine() -> Response:
    """The organisation's agreements, what waits for a signature first."""
    return page("signing/mine.html", found=queries.own_agreements(deps(), actor=actor(), now=now()))


@access("partner")
def my_agreement(agreement_id: str) -> Response:
    """One agreement to read, and for its signer to sign."""
    return _agreement(agreement_id, None)


def _agreement(agreement_id: str, tried: Form | None) -> Response:
    found = queries.agreement_page(deps(), agreement_id, actor=actor(), now=now())
    sign = tried if isinstance(tried, SignForm) else SignForm(formdata=None)
    reason = tried if isinstance(tried, ReasonForm) else ReasonForm(formdata=None)
    sign.pdf_sha256.data, sign.language.data = found.row.pdf_sha256, "en" if language() == "en" else "zh"
    return page(
        "signing/my_agreement.html", found=found, form=sign, reason=reason, status=pages.status(sign, reason)
    )


@access("partner")
def my_view(agreement_id: str) -> AnyResponse:
    """Notes that the agreement, or one of its pages, was opened; sent by the page itself."""
    number = request.form.get("page", type=int)
    service.view(deps(), agreement_id, (number,) if number is not None else (), actor=actor(), now=now())
    return Response(status=204)


@access("partner", max_body=SIGN_BODY)
def my_sign(agreement_id: str) -> AnyResponse:
    """Signs; the document confirmed is the one whose digest the page carried."""
    form = SignForm()
    if pages.done(
        form, lambda: service.sign(deps(), agreement_id, form.signature(), actor=actor(), now=now())
    ):
        flash_text(_("已签署，待对方会签后生效。"))
        return redirect(url_for("signing.my_agreement", agreement_id=agreement_id))
    return _agreement(agreement_id, form)


@access("partner")
def my_decline(agreement_id: str) -> AnyResponse:
    """Refuses to sign, with a reason."""
    form = ReasonForm()
    why = form.reason.data or ""
    if pages.done(form, lambda: service.decline(deps(), agreement_id, why, actor=actor(), now=now())):
        flash_text(_("已记录为不签署。"), "info")
        return redirect(url_for("signing.my_agreement", agreement_id=agreement_id))
    return _agreement(agreement_id, form)


@access("partner")
def my_terminate(agreement_id: str) -> AnyResponse:
    """Ends an agreement, with a reason."""
    form = ReasonForm()
    why = form.reason.data or ""
    if pages.done(
        form, lambda: service.partner_terminate(deps(), agreement_id, why, actor=actor(), now=now())
    ):
        flash_text(_("协议已终止，相关分享已停止。"), "info")
        return redirect(url_for("signing.my_agreement", agreement_id=agreement_id))
    return _agreement(agreement_id, form)


@access("partner")
def my_pdf(agreement_id: str) -> Response:
    """The very bytes that are signed; once sealed, with every signature on them."""
    return pages.file(
        service.document(deps(), agreement_id, actor=actor(), now=now()), "application/pdf", "agreement.pdf"
    )


@access("partner")
def my_page(agreement_id: str, number: int) -> Response:
    """One page as an image."""
    return pages.file(
        service.page_webp(deps(), agreement_id, number, actor=actor(), now=now()),
        "image/webp",
        f"{number}.webp",
    )


@access("partner")
def my_certificate(agreement_id: str) -> Response:
    """The certificate of completion."""
    return pages.file(
        service.certificate_pdf(deps(), agreement_id, actor=actor()), "application/pdf", "certificate.pdf"
    )


@access("partner")
def my_evidence(agreement_id: str) -> Response:
    """Document, evidence and its signature, to be checked by hand."""
    data = service.evidence_zip(deps(), agreement_id, actor=actor(), now=now())
    return pages.file(data, "application/zip", "evidence.zip", attached=True)


@access("partner")
def my_pledge() -> AnyResponse:
    """The personal undertaking under each agreement in force, and the terms of use."""
    return _undertake(service.accept_pledge, _("个人承诺已接受。"))


@access("partner")
def my_terms() -> AnyResponse:
    """Accepts the terms of use."""
    return _undertake(service.accept_terms, _("使用条款已接受。"))


def _undertake(accept: Callable[..., None], said: str) -> AnyResponse:
    form = PledgeForm()
    asked, consent = form.agreement.data or "", bool(form.consent.data)
    if pages.done(form, lambda: accept(deps(), asked, consent=consent, actor=actor(), now=now())):
        flash_text(said)
        return redirect(url_for("signing.my_pledge"))
    rows = queries.own_pledges(deps(), actor=actor(), now=now())
    terms = queries.own_terms(deps(), actor=actor())
    return page(
        "signing/my_pledge.html", rows=rows, terms=terms, form=form, asked=asked, status=pages.status(form)
    )
