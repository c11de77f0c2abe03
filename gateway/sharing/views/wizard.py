"""Making and changing a draft: one page from a case."""

from typing import Any

from flask import Response, redirect, request, url_for
from flask_babel import gettext
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from gateway.archive.vocabulary import ITEM_TYPES
from gateway.sharing import queries, service
from gateway.sharing.forms import ShareForm
from gateway.sharing.queries import WizardChoices
from gateway.sharing.views.room import APPLICANTS, bp, done
from gateway.web.kit import access, actor, deps, flash_text, nav, now, page

nav(bp, _("新建共享"), "new_share", group="share", roles=APPLICANTS, order=20)


@bp.route("/shares/new", methods=["GET", "POST"])
@access("staff", roles=APPLICANTS)
def new_share() -> AnyResponse:
    """First the case, then everything else on one page; saving makes a draft."""
    case = request.args.get("case", "")[:32]
    if not case:
        return page("sharing/choose_case.html", cases=queries.case_choices(deps(), actor=actor(), now=now()))
    choices = queries.wizard_choices(deps(), case, actor=actor(), now=now())
    defaults: dict[str, Any] = {
        "valid_days": choices.valid_days,
        "download_limit": choices.download_limit,
        "relation": "ENTRUST",
        "purpose": "P01",
    }
    form = ShareForm(data=defaults).offer(choices)
    made: list[str] = []
    if done(form, lambda: made.append(service.draft(deps(), form.wish(), actor=actor(), now=now()))):
        flash_text(gettext("草稿已保存，核对放行条件后提交。"))
        return redirect(url_for("sharing.share", share_id=made[0]), 303)
    return _form_page(form, choices, case=case)


@bp.route("/shares/<share_id>/edit", methods=["GET", "POST"])
@access("staff", roles=APPLICANTS)
def edit_share(share_id: str) -> AnyResponse:
    """Changes a draft of one's own."""
    values = queries.draft_values(deps(), share_id, actor=actor(), now=now())
    choices = queries.wizard_choices(deps(), values.case, actor=actor(), now=now())
    form = ShareForm(obj=values).offer(choices)
    if done(form, lambda: service.edit(deps(), share_id, form.wish(), actor=actor(), now=now())):
        flash_text(gettext("草稿已保存，核对放行条件后提交。"))
        return redirect(url_for("sharing.share", share_id=share_id), 303)
    return _form_page(form, choices, case=values.case, share_id=share_id, number=values.number)


def _form_page(form: ShareForm, choices: WizardChoices, **values: Any) -> Response:
    bad = bool(form.errors or form.form_errors)
    return page(
        "sharing/share_form.html",
        form=form,
        choices=choices,
        types=ITEM_TYPES,
        status=422 if bad else 200,
        **values,
    )
