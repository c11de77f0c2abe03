"""Pages of alerts: what the rules found, and the name and note under each."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import Invalid
from gateway.oversight import alert_queries, watching
from gateway.oversight.forms import ReasonForm
from gateway.oversight.rules import ACKNOWLEDGERS, ALERT, WATCHERS, may_acknowledge
from gateway.web.kit import access, actor, deps, flash_text, is_full, nav, now, page


def add_alert_pages(bp: Blueprint) -> None:
    """Enters the pages of this module into the blueprint of oversight, and the banner into every page of staff."""
    bp.add_url_rule("/alerts", view_func=alerts, methods=["GET"])
    bp.add_url_rule("/alerts/<alert_id>/acknowledge", view_func=acknowledge, methods=["POST"])
    nav(
        bp,
        lazy_gettext("安全告警"),
        "alerts",
        group="watch",
        roles=WATCHERS,
        icon="info",
        order=40,
        count=_open,
    )
    bp.app_context_processor(_banner)


def _open() -> int:
    return alert_queries.open_count(deps(), actor=actor())


def _banner() -> dict[str, Any]:
    return {"open_alerts": lambda: _open() if is_full() and actor().kind == "staff" else 0}


@access("staff", roles=WATCHERS)
def alerts() -> Response:
    """The alerts that this reader may see."""
    return _page()


def _page(refused: tuple[str, ReasonForm] | None = None) -> Response:
    found = alert_queries.alert_page(deps(), _before(), actor=actor())
    answered = [line.id for line in found.waiting if may_acknowledge(actor(), line.rule)]
    forms = {each: ReasonForm(formdata=None).at(each) for each in answered}
    if refused is not None and refused[0] in forms:
        forms[refused[0]] = refused[1].at(refused[0])
    status = 200 if refused is None else 422
    return page("oversight/alerts.html", status=status, found=found, forms=forms, states=ALERT.states)


def _before() -> datetime | None:
    try:
        found = datetime.fromisoformat(request.args.get("before", ""))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


@access("staff", roles=ACKNOWLEDGERS)
def acknowledge(alert_id: str) -> AnyResponse:
    """Puts the reader's name and note under an alert."""
    form = ReasonForm()
    try:
        if form.validate_on_submit():
            watching.acknowledge(deps(), alert_id, form.reason.data, actor=actor(), now=now())
            flash_text(_("告警已确认。"))
            return redirect(url_for("oversight.alerts"))
    except Invalid as problem:
        form.put_error(problem)
    return _page((alert_id, form))
