"""One's own account: sessions, password, authenticator, recovery codes, age key, language and time zone."""

from typing import Any

from flask import redirect, request, url_for
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response

from gateway.identity import queries, service
from gateway.identity.forms import AgeKeyForm, AuthenticatorForm, BeginForm, PasswordForm, SettingsForm
from gateway.identity.views.room import bp, done, qr, tried
from gateway.principal import Text
from gateway.web.kit import access, actor, deps, flash_text, nav, now, page

nav(bp, _("我的账号"), "account", group="company", icon="person", order=90)
nav(bp, _("账号"), "account", kind="partner", icon="person", order=90)


@bp.get("/account")
@access("any")
def account() -> Response:
    """Everything about oneself on one page."""
    return _account_page()


@bp.post("/account/password")
@access("any", limit="20/minute")
def change_password() -> Response:
    """A new password; other sessions end."""
    form = PasswordForm()
    current, password = form.current_password.data or "", form.password.data or ""
    if not done(
        form,
        lambda: service.change_password(deps(), current=current, password=password, actor=actor(), now=now()),
    ):
        return _account_page(422, password_form=form)
    return _said(Text("密码已更换，其他登录已退出。", "The password is changed. Other sessions have ended."))


@bp.post("/account/authenticator")
@access("any", limit="20/minute")
def change_authenticator() -> Response:
    """First the new seed; then, with a code from it, the change."""
    pending = request.form.get("pending")
    if not pending:
        return _authenticator_page(AuthenticatorForm(formdata=None), None)
    form = AuthenticatorForm()
    codes = tried(
        form,
        lambda: service.change_totp(deps(), pending, code=form.code.data or "", actor=actor(), now=now()),
    )
    if codes is None:
        return _authenticator_page(form, pending, status=422)
    return page("identity/recovery_codes.html", codes=codes)


@bp.post("/account/recovery-codes")
@access("any", limit="20/minute")
def renew_recovery_codes() -> Response:
    """Ten new codes, shown on this answer only."""
    codes = service.renew_recovery_codes(deps(), actor=actor(), now=now())
    return page("identity/recovery_codes.html", codes=codes)


@bp.post("/account/sessions/<session_id>/end")
@access("any")
def end_session_of_mine(session_id: str) -> Response:
    """Ends one of one's own sessions."""
    service.revoke_session(deps(), session_id, actor=actor(), now=now())
    return _said(Text("这次登录已结束。", "That session has ended."))


@bp.post("/account/sessions/end-others")
@access("any")
def end_other_sessions() -> Response:
    """Ends every session but this."""
    service.revoke_other_sessions(deps(), actor=actor(), now=now())
    return _said(Text("其他登录都已结束。", "Every other session has ended."))


@bp.post("/account/age-key")
@access("partner", limit="20/minute")
def register_age_key() -> Response:
    """A public key for later copies."""
    form = AgeKeyForm()
    if not done(
        form, lambda: service.register_age_recipient(deps(), form.key.data or "", actor=actor(), now=now())
    ):
        return _account_page(422, key_form=form)
    return _said(Text("公钥已登记，新副本用它加密。", "The key is registered; new copies are sealed to it."))


@bp.post("/account/age-key/remove")
@access("partner")
def remove_age_key() -> Response:
    """Back to passphrases."""
    service.remove_age_recipient(deps(), actor=actor(), now=now())
    return _said(Text("公钥已移除，新副本用口令加密。", "The key is removed; new copies have a passphrase."))


@bp.post("/account/settings")
@access("any")
def change_settings() -> Response:
    """Language and time zone."""
    form = SettingsForm()

    def act() -> None:
        service.set_timezone(deps(), form.timezone.data or "", actor=actor(), now=now())
        service.set_language(deps(), form.language.data or "", actor=actor(), now=now())

    if not done(form, act):
        return _account_page(422, settings_form=form)
    return _said(Text("已保存。", "Saved."))


def _account_page(status: int = 200, **forms: Any) -> Response:
    own = queries.own_page(deps(), actor=actor(), now=now())
    settings = SettingsForm(formdata=None, data={"language": own.language, "timezone": own.timezone})
    drawn: dict[str, Any] = {
        "password_form": PasswordForm(formdata=None),
        "key_form": AgeKeyForm(formdata=None),
        "settings_form": settings,
        **forms,
    }
    sessions = service.own_sessions(deps(), actor=actor(), now=now())
    return page(
        "identity/account.html", status=status, own=own, sessions=sessions, act_form=BeginForm(), **drawn
    )


def _authenticator_page(form: AuthenticatorForm, pending: str | None, status: int = 200) -> Response:
    seed = service.begin_totp(deps(), actor=actor(), now=now(), pending=pending)
    form.pending.data = seed.pending
    return page("identity/authenticator.html", form=form, seed=seed, image=qr(seed.uri), status=status)


def _said(text: Text) -> Response:
    flash_text(text)
    return redirect(url_for("identity.account"))
