"""Pages of agreements signed on paper: registering one, its two checks, refusing it."""

from flask import Blueprint, redirect, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import NotFound
from gateway.principal import Role
from gateway.signing import pages, queries, service
from gateway.signing.forms import PaperForm, PointsForm, ReasonForm
from gateway.signing.rules import PAPER_CHECKS
from gateway.web.kit import access, actor, deps, flash_text, nav, now, page

SCAN_BODY = service.MAX_SCAN + (1 << 20)
CHECKERS = frozenset({Role.ADM, Role.ARC})


def add_paper_pages(bp: Blueprint) -> None:
    """Enters the pages of this module into signing's blueprint."""
    bp.add_url_rule("/agreements/paper", view_func=new_paper, methods=["GET", "POST"])
    bp.add_url_rule(
        "/agreements/<agreement_id>/check/<int:stage>",
        view_func=check_paper,
        methods=["GET", "POST"],
    )
    bp.add_url_rule("/agreements/<agreement_id>/refuse", view_func=refuse_paper, methods=["GET", "POST"])
    bp.add_url_rule("/agreements/papers", view_func=to_check, methods=["GET"])
    nav(
        bp,
        lazy_gettext("纸质协议复核"),
        "to_check",
        group="todo",
        roles={Role.ARC},
        icon="pen",
        order=45,
        count=lambda: queries.waiting_checks(deps(), actor=actor()),
    )


@access("staff", roles={Role.ARC})
def to_check() -> AnyResponse:
    """The papers that wait for their second check."""
    return redirect(url_for("signing.ledger", state="CHECK1"))


@access("staff", roles={Role.ADM}, max_body=SCAN_BODY)
def new_paper() -> AnyResponse:
    """Registers an agreement that was signed on paper."""
    given = queries.draft_choices(deps(), actor=actor(), now=now())
    form = PaperForm(data={"valid_from": given.first, "valid_to": given.last}).offer(given)
    made = pages.tried(
        form, lambda: service.intake(deps(), form.paper(given.contacts), actor=actor(), now=now())
    )
    if made is not None:
        flash_text(_("纸质协议已登记，待初核和复核。"))
        return redirect(url_for("signing.agreement", agreement_id=made))
    return page("signing/paper_form.html", form=form, status=pages.status(form))


@access("staff", roles=CHECKERS)
def check_paper(agreement_id: str, stage: int) -> AnyResponse:
    """The points of a check, each to be ticked; the second check is another person's."""
    if stage not in PAPER_CHECKS:
        raise NotFound
    form = PointsForm().about(stage)
    found = queries.agreement_page(deps(), agreement_id, actor=actor(), now=now())
    if request.method == "POST" and pages.done(
        form,
        lambda: service.check(
            deps(), agreement_id, stage, tuple(form.points.data or ()), actor=actor(), now=now()
        ),
    ):
        flash_text(_("核对已记录。"))
        return redirect(url_for("signing.agreement", agreement_id=agreement_id))
    return page(
        "signing/paper_check.html",
        found=found,
        form=form,
        stage=stage,
        points=PAPER_CHECKS[stage],
        status=pages.status(form),
    )


@access("staff", roles=CHECKERS)
def refuse_paper(agreement_id: str) -> AnyResponse:
    """A paper that does not stand up, with the reason."""
    form = ReasonForm()
    found = queries.agreement_page(deps(), agreement_id, actor=actor(), now=now())
    why = form.reason.data or ""
    if request.method == "POST" and pages.done(
        form, lambda: service.refuse(deps(), agreement_id, why, actor=actor(), now=now())
    ):
        flash_text(_("已记录为未通过。"), "info")
        return redirect(url_for("signing.agreement", agreement_id=agreement_id))
    return page("signing/paper_refuse.html", found=found, form=form, status=pages.status(form))
