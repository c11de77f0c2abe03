"""Pages of the agreement's text: its versions, a new one, submitting, approving and sending back."""

from collections.abc import Callable

from flask import Blueprint, Response, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from gateway.principal import Role
from gateway.signing import pages, service
from gateway.signing import template_queries as queries
from gateway.signing.forms import ReasonForm, TemplateForm
from gateway.signing.results import TemplatePage
from gateway.signing.rules import KINDS, TEMPLATE
from gateway.web.kit import access, actor, deps, flash_text, now, page

DRAFTERS = frozenset({Role.ADM, Role.GM, Role.AUD})


def add_template_pages(bp: Blueprint) -> None:
    """Enters the pages of this module into signing's blueprint."""
    bp.add_url_rule("/agreements/templates", view_func=templates, methods=["GET"])
    bp.add_url_rule("/agreements/templates/new", view_func=new_template, methods=["GET", "POST"])
    bp.add_url_rule("/agreements/templates/<template_id>", view_func=template, methods=["GET"])
    bp.add_url_rule("/agreements/templates/<template_id>/pdf", view_func=template_pdf, methods=["GET"])
    bp.add_url_rule(
        "/agreements/templates/<template_id>/<any(submit, approve):event>",
        view_func=step_template,
        methods=["POST"],
    )
    bp.add_url_rule("/agreements/templates/<template_id>/return", view_func=return_template, methods=["POST"])


@access("staff", roles=DRAFTERS)
def templates() -> Response:
    """Every version, newest first."""
    return page(
        "signing/templates.html",
        rows=queries.template_list(deps(), actor=actor()),
        states=TEMPLATE.states,
        kinds=KINDS,
    )


@access("staff", roles={Role.ADM})
def new_template() -> AnyResponse:
    """A new version; `from` fills in the texts of an earlier one."""
    earlier = request.args.get("from", "")
    given = queries.template_page(deps(), earlier, actor=actor()) if earlier else None
    form = TemplateForm(data=_start(given)).offer()
    made = pages.tried(
        form,
        lambda: service.draft_template(
            deps(),
            form.version.data or "",
            form.zh.data or "",
            form.en.data or "",
            kind=form.kind.data or "",
            resign=bool(form.resign.data),
            actor=actor(),
            now=now(),
        ),
    )
    if made is not None:
        flash_text(_("模板草稿已保存。"))
        return redirect(url_for("signing.template", template_id=made))
    places = sorted(service.SAMPLE)
    return page("signing/template_form.html", form=form, places=places, status=pages.status(form))


def _start(given: TemplatePage | None) -> dict[str, str]:
    """The texts to begin from: those of an earlier version, or the first text of the kind that is asked for."""
    if given is not None:
        return {"kind": given.row.kind_name, "zh": given.zh, "en": given.en}
    kind = request.args.get("kind", "")
    return queries.first_text(kind)


@access("staff", roles=DRAFTERS)
def template(template_id: str) -> Response:
    """One version: its texts, its history, the steps open to the reader."""
    return _template(template_id, ReasonForm(formdata=None))


def _template(template_id: str, form: ReasonForm) -> Response:
    found = queries.template_page(deps(), template_id, actor=actor())
    return page("signing/template.html", found=found, form=form, status=pages.status(form))


@access("staff", roles=DRAFTERS)
def template_pdf(template_id: str) -> Response:
    """The text set with sample values, 草稿 on every page."""
    data = service.preview_pdf(deps(), template_id, actor=actor(), now=now())
    return pages.file(data, "application/pdf", "template.pdf")


_STEPS: dict[str, Callable[[str], None]] = {
    "submit": lambda i: service.submit_template(deps(), i, actor=actor(), now=now()),
    "approve": lambda i: service.approve_template(deps(), i, actor=actor(), now=now()),
}


@access("staff", roles={Role.ADM, Role.GM})
def step_template(template_id: str, event: str) -> AnyResponse:
    """Hands a draft in, or approves it."""
    _STEPS[event](template_id)
    flash_text(_("已完成。"))
    return redirect(url_for("signing.template", template_id=template_id))


@access("staff", roles={Role.GM})
def return_template(template_id: str) -> AnyResponse:
    """Sends a version back, with a reason."""
    form = ReasonForm()
    why = form.reason.data or ""
    if pages.done(form, lambda: service.return_template(deps(), template_id, why, actor=actor(), now=now())):
        flash_text(_("已退回。"))
        return redirect(url_for("signing.template", template_id=template_id))
    return _template(template_id, form)
