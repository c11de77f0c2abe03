"""The web door: builds the Flask application of one portal."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from flask import Blueprint, Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway import bootstrap
from gateway.archive import views as archive
from gateway.config import Settings, read_secret
from gateway.deps import Deps
from gateway.identity import views as identity
from gateway.identity.gate import Gate
from gateway.oversight import views as oversight
from gateway.sharing import views as sharing
from gateway.signing import views as signing
from gateway.web import door, filters, headers, i18n, nav, refusals, render, views, visitor
from gateway.web.access import BODY_BYTES, access, require_declarations
from gateway.web.gate import SessionGate
from gateway.web.incoming import InMemory

ROOMS = (identity, archive, signing, sharing, oversight)
SESSION_KEY = "session.key"


def create_app(deps: Deps | None = None) -> Flask:
    """The portal with every room; without `deps` it is wired from the environment, as gunicorn wants it."""
    if deps is None:
        deps = bootstrap.start()
    return assemble(deps, Gate(deps), [room.bp for room in ROOMS])


def assemble(deps: Deps, gate: SessionGate, rooms: Sequence[Blueprint]) -> Flask:
    """The portal with the given rooms; raises RuntimeError for a route without access or a navigation entry without page."""
    app = Flask("gateway.web")
    app.request_class = InMemory
    _configure(app, deps.settings)
    visitor.install(app, deps, gate)
    i18n.install(app, _texts())
    door.install(app, deps.settings.limiter_url)
    headers.install(app, https=deps.settings.secure_cookies)
    filters.install(app)
    render.install(app)
    refusals.install(app)
    for bp in (views.bp, *rooms):
        app.register_blueprint(bp)
    access("public")(app.view_functions["static"])
    require_declarations(app)
    nav.require_pages(app)
    return app


def _configure(app: Flask, settings: Settings) -> None:
    secure = settings.secure_cookies
    app.config.update(
        SECRET_KEY=read_secret(settings.keys / SESSION_KEY),
        SESSION_COOKIE_NAME="__Host-sealgate" if secure else "sealgate",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        TRUSTED_HOSTS=list(settings.hosts),
        MAX_CONTENT_LENGTH=BODY_BYTES,
        MAX_FORM_PARTS=1000,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    # Both would answer a stranger with a redirect only where a route exists.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count)  # type: ignore[method-assign]


def _texts() -> Iterable[Path]:
    found = Path(__file__).parent.glob("*/translations/en.po")
    return sorted(found, key=lambda path: (path.parts[-3] != "web", path))
