"""Enrolment by a one-time link. Opening the link shows for whom it is and changes nothing; only the last step spends it."""

from flask import request
from werkzeug.wrappers import Response

from gateway.identity import service
from gateway.identity.forms import BeginForm, EnrolForm
from gateway.identity.views.room import bp, qr, tried
from gateway.web.kit import access, actor, deps, language, now, page


@bp.get("/enrol/<token>")
@access("public")
def enrol(token: str) -> Response:
    """For whom the link is; mail scanners may open it as often as they like."""
    shown = service.look(deps(), token, now=now())
    return page("identity/enrol_open.html", form=BeginForm(), shown=shown)


@bp.post("/enrol/<token>")
@access("public", limit="30/minute")
def enrol_now(token: str) -> Response:
    """First the authenticator's seed; then, with password and code, the end."""
    pending = request.form.get("pending")
    if not pending:
        return _seed_page(EnrolForm(formdata=None), service.begin_enrolment(deps(), token, now=now()))
    form = EnrolForm()
    enrolled = tried(
        form,
        lambda: service.complete_enrolment(
            deps(),
            token,
            pending,
            password=form.password.data or "",
            code=form.code.data or "",
            ip=actor().ip,
            agent=actor().agent,
            now=now(),
            language=language(),
        ),
    )
    if enrolled is None:
        return _seed_page(
            form, service.begin_enrolment(deps(), token, now=now(), pending=pending), status=422
        )
    return page("identity/enrolled.html", enrolled=enrolled)


def _seed_page(form: EnrolForm, shown: service.Enrolment, status: int = 200) -> Response:
    assert shown.seed is not None
    form.pending.data = shown.seed.pending
    return page(
        "identity/enrol.html",
        form=form,
        shown=shown,
        seed=shown.seed,
        image=qr(shown.seed.uri),
        status=status,
    )
