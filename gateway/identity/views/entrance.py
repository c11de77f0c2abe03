"""The way in and out: password, one-time or recovery code, a factor made fresh."""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from gateway.errors import NotFound
from gateway.identity import queries, service
from gateway.identity.forms import BeginForm, CodeForm, RecoveryForm, SignInForm
from gateway.identity.views.room import bp, tried
from gateway.principal import Text
from gateway.web.kit import (
    access,
    actor,
    begin_session,
    deps,
    end_session,
    flash_text,
    gate,
    is_full,
    now,
    own_path,
    page,
)


@bp.get("/sign-in")
@access("public")
def sign_in() -> Response:
    """The first step."""
    return page("identity/sign_in.html", form=SignInForm(), onward=own_path(request.args.get("next")))


@bp.post("/sign-in")
@access("public", limit="60/minute")
def sign_in_now() -> Response:
    """Address and password; the answer is the same for whoever is known and whoever is not."""
    form, onward = SignInForm(), own_path(request.form.get("next"))
    token = tried(
        form,
        lambda: service.sign_in(
            deps(),
            form.email.data or "",
            form.password.data or "",
            ip=actor().ip,
            agent=actor().agent,
            now=now(),
        ),
    )
    if token is None:
        return page("identity/sign_in.html", form=form, onward=onward, status=422)
    _leave_present()
    begin_session(token)
    return redirect(url_for("identity.verify", next=onward))


@bp.get("/verify")
@access("half")
def verify() -> Response:
    """The second step, or a factor made fresh; a contact that waits for verification is led to its code."""
    if _waiting():
        return redirect(url_for("identity.waiting"))
    return _verify_page(CodeForm(), own_path(request.args.get("next")))


@bp.post("/verify")
@access("half", limit="60/minute")
def verify_now() -> Response:
    """The one-time code."""
    form, onward = CodeForm(), own_path(request.form.get("next"))
    if is_full():
        if tried(form, lambda: gate().confirm(actor(), form.otp.data or "", now=now())) is None:
            return _verify_page(form, onward, status=422)
        return redirect(onward)
    token = tried(form, lambda: service.finish_sign_in(deps(), actor(), form.otp.data or "", now=now()))
    if token is None:
        return _verify_page(form, onward, status=422)
    begin_session(token)
    return redirect(onward)


@bp.get("/verify/recovery")
@access("half")
def recovery() -> Response:
    """The second step without the telephone."""
    if is_full() or _waiting():
        return redirect("/")
    return page("identity/recovery.html", form=RecoveryForm(), onward=own_path(request.args.get("next")))


@bp.post("/verify/recovery")
@access("half", limit="60/minute")
def recovery_now() -> Response:
    """One recovery code, used up by this."""
    form, onward = RecoveryForm(), own_path(request.form.get("next"))
    if is_full():
        raise NotFound
    code = form.recovery.data or ""
    token = tried(form, lambda: service.finish_sign_in(deps(), actor(), code, now=now(), factor="recovery"))
    if token is None:
        return page("identity/recovery.html", form=form, onward=onward, status=422)
    begin_session(token)
    flash_text(
        Text(
            "恢复码已用掉一个。请尽快在账号页更换验证器。",
            "One recovery code is used up. Replace the authenticator soon.",
        ),
        "wait",
    )
    return redirect(url_for("identity.account") if onward == "/" else onward)


@bp.get("/waiting")
@access("half")
def waiting() -> Response:
    """What a contact sees between enrolment and verification."""
    if not _waiting():
        return redirect("/")
    return page("identity/waiting.html", form=BeginForm(), code=None)


@bp.post("/waiting")
@access("half", limit="20/minute")
def waiting_now() -> Response:
    """A new code to read back."""
    if not _waiting():
        raise NotFound
    code = tried(BeginForm(), lambda: service.new_readback_code(deps(), actor=actor(), now=now()))
    return page("identity/waiting.html", form=BeginForm(), code=code)


@bp.post("/sign-out")
@access("half")
def sign_out() -> Response:
    """Ends the session here and in the database."""
    _leave_present()
    end_session()
    return redirect(url_for("identity.sign_in"))


def _leave_present() -> None:
    if actor().kind != "stranger":
        service.sign_out(deps(), actor=actor(), now=now())


def _waiting() -> bool:
    return not is_full() and actor().mfa_at is not None


def _verify_page(form: CodeForm, onward: str, status: int = 200) -> Response:
    email = queries.own_page(deps(), actor=actor(), now=now()).email
    return page("identity/verify.html", form=form, onward=onward, email=email, full=is_full(), status=status)
