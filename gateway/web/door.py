"""The door of every request: rate, who may enter, body size, forged requests, a code given along; each refusal recorded."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import structlog
from flask import Flask, current_app, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import CSRFError, CSRFProtect
from limits import RateLimitItem, parse
from limits.errors import StorageError
from werkzeug.exceptions import MethodNotAllowed, RequestEntityTooLarge
from werkzeug.routing.exceptions import RoutingException
from werkzeug.wrappers import Response as AnyResponse

from gateway.audit.service import record, record_refusal
from gateway.errors import Invalid, NotAllowed, NotFound, Refused, SealGateError, TooMany, Unavailable
from gateway.principal import SYSTEM
from gateway.web import visitor
from gateway.web.access import Access, declared
from gateway.web.again import CODE_FIELD, SAFE, ask_again

LIMITER = "sealgate.limiter"
GENERAL = parse("600/minute")
FILES = parse("3000/minute")
NOTED = parse("1/minute")
STATIC = "static"

_log = structlog.get_logger("gateway.web")


def install(app: Flask, limiter_url: str) -> None:
    """Puts the checks in their order; the token against forged requests is looked at after it is known who may enter."""
    app.extensions[LIMITER] = Limiter(
        get_remote_address, app=app, storage_uri=limiter_url, storage_options={"wrap_exceptions": True}
    )
    app.before_request(_enter)
    app.config["WTF_CSRF_TIME_LIMIT"] = None
    # The portal sends no Referer anywhere, so its absence proves nothing; Sec-Fetch-Site is read instead.
    app.config["WTF_CSRF_SSL_STRICT"] = False
    CSRFProtect(app)
    app.before_request(_take_code)


def _enter() -> None:
    if request.endpoint == STATIC:
        # The portal's own files hold nothing worth refusing when the counters are out of reach.
        with suppress(Unavailable):
            _spend(FILES, STATIC, get_remote_address())
        return
    if request.url_rule is None:
        _limit(None)
        _turn_away()
        return
    opened = cast(Access, declared(current_app, request.endpoint))
    _limit(opened)
    if not opened.admits(visitor.actor(), full=visitor.is_full()):
        raise NotFound
    if not opened.suits(visitor.actor()):
        raise NotAllowed
    _bound_body(opened)
    if request.method not in SAFE and request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise CSRFError("sent from another site")


def _turn_away() -> None:
    # Whoever may not know of a route must not learn of it from the methods it would take either.
    problem = request.routing_exception
    if isinstance(problem, MethodNotAllowed | RoutingException) and not _may_know(problem):
        raise NotFound


def _may_know(problem: object) -> bool:
    methods = getattr(problem, "valid_methods", None)
    adapter = current_app.create_url_adapter(request)
    if not methods or adapter is None:
        return False
    endpoint, _ = cast(tuple[str, object], adapter.match(method=next(iter(methods))))
    opened = declared(current_app, endpoint)
    return opened is not None and opened.admits(visitor.actor(), full=visitor.is_full())


def _bound_body(opened: Access) -> None:
    request.max_content_length = opened.max_body
    if request.content_length is not None and request.content_length > opened.max_body:
        raise RequestEntityTooLarge


def _limit(opened: Access | None) -> None:
    address = get_remote_address()
    _spend(GENERAL, "all", address)
    if opened is not None and opened.limit is not None and request.method not in SAFE:
        _spend(parse(opened.limit), str(request.endpoint), address)


def _spend(item: RateLimitItem, scope: str, key: str) -> None:
    if _counters().enabled and not _hit(item, scope, key):
        reset = _counters().limiter.get_window_stats(item, scope, key).reset_time
        raise TooMany(max(1, round(reset - time.time())))


def _hit(item: RateLimitItem, *key: str) -> bool:
    try:
        return bool(_counters().limiter.hit(item, *key))
    except StorageError as failure:
        raise Unavailable("LIMITER") from failure


def _counters() -> Limiter:
    limiter: Limiter = current_app.extensions[LIMITER]
    return limiter


def _take_code() -> AnyResponse | None:
    """A code sent along with any other form makes the second factor fresh before the view runs."""
    opened = declared(current_app, request.endpoint)
    if request.method != "POST" or opened is None or opened.kind in ("public", "half"):
        return None
    code = request.form.get(CODE_FIELD, "").strip()
    try:
        if code:
            visitor.confirm(code)
    except Invalid as problem:
        return ask_again(problem)
    return None


def note(problem: SealGateError | str) -> None:
    """Records a refusal unless the job that refused has done so; the answer is a refusal either way."""
    if isinstance(problem, Refused) and problem.recorded:
        return
    code = problem if isinstance(problem, str) else problem.code
    if code == TooMany.code and not _first_this_minute():
        return
    conditions = list(getattr(problem, "codes", ()))
    _written(
        lambda: record_refusal(
            visitor.deps().database,
            code,
            actor=visitor.actor(),
            obj=_place(),
            now=visitor.now(),
            verb=f"web.{request.method.lower()}"[:20],
            conditions=conditions,
        )
    )


def alert(code: str) -> None:
    """Records what an auditor must see, whoever asked: a row that was changed from outside."""
    person = visitor.actor() if visitor.actor().kind != "stranger" else SYSTEM

    def write() -> None:
        with visitor.deps().database.write() as session:
            record(session, "alert", actor=person, obj=_place(), now=visitor.now(), code=code)

    _written(write)


def _place() -> tuple[str, str]:
    return ("page", request.endpoint or "unknown")


def _written(write: Callable[[], object]) -> None:
    try:
        write()
    except Exception as failure:  # noqa: BLE001 - the page refuses anyway; the failing log is shouted about instead.
        _log.critical("not_recorded", endpoint=request.endpoint, problem=type(failure).__name__)


def _first_this_minute() -> bool:
    # One entry a minute tells of a flood; thousands would be another flood.
    return _hit(NOTED, "noted", visitor.actor().label, get_remote_address())
