"""Pages of the parameters: the table, proposing, confirming."""

from collections.abc import Callable

from flask import Blueprint, Response, redirect, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import Invalid
from gateway.oversight import parameter_queries, service
from gateway.oversight.forms import BareForm, ProposalForm, ReasonForm
from gateway.oversight.parameter_words import PARAMETER_TEXT
from gateway.oversight.rules import PARAMETER
from gateway.principal import Role
from gateway.web.kit import access, actor, deps, flash_text, nav, now, page

PROPOSERS = frozenset({Role.ADM})
DECIDERS = frozenset({Role.GM})


def add_parameter_pages(bp: Blueprint) -> None:
    """Enters the pages of this module into the blueprint of oversight."""
    bp.add_url_rule("/parameters", view_func=parameters, methods=["GET"])
    bp.add_url_rule("/parameters/propose", view_func=propose, methods=["POST"])
    bp.add_url_rule("/parameters/<version_id>/confirm", view_func=confirm, methods=["POST"])
    bp.add_url_rule("/parameters/<version_id>/decline", view_func=decline, methods=["POST"])
    bp.add_url_rule("/parameters/<version_id>/withdraw", view_func=withdraw, methods=["POST"])
    nav(
        bp,
        lazy_gettext("业务参数"),
        "parameters",
        group="watch",
        roles=PROPOSERS | DECIDERS,
        icon="list",
        order=40,
    )


@access("staff", roles=PROPOSERS | DECIDERS)
def parameters() -> Response:
    """The table with present values, what waits, and the last changes."""
    return _page(ProposalForm(formdata=None, data={"key": request.args.get("key", "")}).offer())


def _page(form: ProposalForm, refused: tuple[str, ReasonForm] | None = None) -> Response:
    problems = form.errors or form.form_errors or refused
    found = parameter_queries.parameter_page(deps(), actor=actor(), now=now())
    given = dict([refused] if refused else [])
    return page(
        "oversight/parameters.html",
        status=422 if problems else 200,
        found=found,
        form=form,
        reasons={c.id: given.get(c.id, ReasonForm(formdata=None)).at(c.id) for c in found.waiting},
        states=PARAMETER.states,
        texts=PARAMETER_TEXT,
    )


@access("staff", roles=PROPOSERS)
def propose() -> AnyResponse:
    """Proposes one change."""
    form = ProposalForm().offer()
    if not form.validate_on_submit():
        return _page(form)
    try:
        service.propose(
            deps(),
            form.key.data,
            form.value.data or "",
            form.starts(actor().timezone),
            form.reason.data,
            actor=actor(),
            now=now(),
        )
    except Invalid as problem:
        form.put_error(problem)
        return _page(form)
    flash_text(_("变更已提出，等待总经理确认。"), "wait")
    return redirect(url_for("oversight.parameters"))


@access("staff", roles=DECIDERS)
def confirm(version_id: str) -> AnyResponse:
    """Confirms a proposal."""
    if BareForm().validate_on_submit():
        number = service.confirm(deps(), version_id, actor=actor(), now=now())
        flash_text(_("变更已确认，版本 %(n)d。", n=number))
    return redirect(url_for("oversight.parameters"))


@access("staff", roles=DECIDERS)
def decline(version_id: str) -> AnyResponse:
    """Refuses a proposal, with a reason."""
    return _ended(version_id, lambda why: service.decline(deps(), version_id, why, actor=actor(), now=now()))


@access("staff", roles=PROPOSERS)
def withdraw(version_id: str) -> AnyResponse:
    """Takes a proposal back, with a reason."""
    return _ended(version_id, lambda why: service.withdraw(deps(), version_id, why, actor=actor(), now=now()))


def _ended(version_id: str, end: Callable[[str | None], None]) -> AnyResponse:
    form = ReasonForm()
    try:
        if form.validate_on_submit():
            end(form.reason.data)
            flash_text(_("变更没有进入参数表。"), "info")
            return redirect(url_for("oversight.parameters"))
    except Invalid as problem:
        form.put_error(problem)
    return _page(ProposalForm(formdata=None).offer(), (version_id, form))
