"""Pages of what was refused or went wrong: what did not happen, what was not lost, what to do next, and a short code."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from flask import Flask, Response, request
from flask_babel import lazy_gettext as _
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, SecurityError
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import (
    Invalid,
    NotAllowed,
    NotFound,
    Refused,
    SealGateError,
    StaleFactor,
    TamperedRow,
    TooMany,
    Unavailable,
    Withheld,
    WrongState,
)
from gateway.web import visitor
from gateway.web.again import ask_again
from gateway.web.door import alert, note
from gateway.web.render import page

_log = structlog.get_logger("gateway.web")


@dataclass(frozen=True)
class Words:
    """The sentences of one kind of page."""

    title: Any
    english: str
    what: Any
    todo: Any


PAGES: dict[int, Words] = {
    400: Words(
        _("请求没有被接受"), "Request not accepted", _("没有任何改动。"), _("返回上一页，刷新后再试一次。")
    ),
    403: Words(_("不允许"), "Not allowed", _("没有任何改动。"), _("如工作需要，请联系行政部门授权。")),
    404: Words(
        _("没有这个页面"),
        "No such page",
        _("地址不存在，或不对您开放。"),
        _("请核对地址；从通知打开的，请先登录。"),
    ),
    405: Words(_("不能这样打开"), "Not opened this way", _("没有任何改动。"), _("请从页面上的按钮操作。")),
    409: Words(
        _("现在不能这样做"),
        "Not possible now",
        _("没有任何改动，也没有文件外出。"),
        _("刷新页面，看当前状态后再操作。"),
    ),
    413: Words(
        _("内容太大"), "Too large", _("没有保存任何内容。"), _("减小内容后再试；文件请从上传页分块上传。")
    ),
    422: Words(_("填写有误"), "Something to correct", _("没有保存任何内容。"), _("返回上一页改正后再试。")),
    429: Words(_("操作太频繁"), "Too many requests", _("这次操作没有执行。"), _("请稍后再试。")),
    500: Words(
        _("系统出错"),
        "Something went wrong",
        _("这次操作没有完成，没有文件外出。"),
        _("请稍后再试；仍不行，请把代码告诉系统管理员。"),
    ),
    503: Words(
        _("暂时不可用"), "Temporarily unavailable", _("没有任何改动，也没有文件外出。"), _("请过几分钟再试。")
    ),
}

CODES = {404: "NOT_FOUND", 405: "METHOD", 413: "TOO_LARGE"}

STATUS: tuple[tuple[type[SealGateError], int], ...] = (
    (NotFound, 404),
    (NotAllowed, 403),
    (Withheld, 409),
    (WrongState, 409),
    (TooMany, 429),
    (Refused, 403),
    (Invalid, 422),
    (Unavailable, 503),
    (SealGateError, 500),
)


def install(app: Flask) -> None:
    """Answers every refusal and failure with its page."""
    answers: tuple[tuple[type[Exception], Callable[[Any], Any]], ...] = (
        (CSRFError, _forged),
        (HTTPException, _http),
        (StaleFactor, _stale),
        (TamperedRow, _tampered),
        (SealGateError, _known),
        (Exception, _failed),
    )
    for kind, answer in answers:
        app.register_error_handler(kind, answer)


def error_page(status: int, code: str, problem: SealGateError | None = None) -> Response:
    """The page of a status in the reader's layout; a 404 never says more than any other 404."""
    try:
        shown = _draw(status, code, problem)
    except Exception as failure:  # noqa: BLE001 - whatever broke the page must not break the page that says so.
        _log.error("error_page_failed", problem=type(failure).__name__, where=_where(failure))
        visitor.forget()
        shown = _draw(status, code, problem)
    if _session_ended():
        shown.headers["HX-Refresh"] = "true"
    if isinstance(problem, TooMany):
        shown.headers["Retry-After"] = str(problem.wait_s)
    return shown


def _draw(status: int, code: str, problem: SealGateError | None) -> Response:
    person = visitor.actor()
    return page(
        "error.html",
        status=status,
        number=status,
        words=PAGES[status],
        code=code,
        said=None if status in (404, 500) or problem is None else problem.text,
        decision=getattr(problem, "decision", None),
        half=person.kind != "stranger" and not visitor.is_full(),
        asked=request.full_path.rstrip("?") if request.method == "GET" else "/",
    )


def _session_ended() -> bool:
    # A polling fragment whose session is over: the whole page is then to be loaded again.
    return "HX-Request" in request.headers and visitor.actor().kind == "stranger"


def _forged(problem: CSRFError) -> Response:
    note("CSRF")
    return error_page(400, "CSRF")


def _http(problem: HTTPException) -> AnyResponse:
    status = problem.code or 500
    if status < 400:
        return problem.get_response()
    if status not in PAGES:
        status = 400 if status < 500 else 500
    code = CODES.get(status, f"HTTP_{status}") if not isinstance(problem, SecurityError) else "HOST"
    note(code)
    shown = error_page(status, code)
    if status == 405:
        shown.headers["Allow"] = ", ".join(sorted(getattr(problem, "valid_methods", None) or ()))
    return shown


def _known(problem: SealGateError) -> Response:
    status = next(number for kind, number in STATUS if isinstance(problem, kind))
    if status == 500:
        _log.error("failed", code=problem.code, endpoint=request.endpoint)
    else:
        note(problem)
    return error_page(status, "NOT_FOUND" if status == 404 else problem.code, problem)


def _tampered(problem: TamperedRow) -> Response:
    _log.critical("tampered_row", endpoint=request.endpoint)
    alert(problem.code)
    return error_page(500, problem.code)


def _failed(problem: Exception) -> Response:
    # The type only: messages of foreign libraries may quote what was sent.
    _log.error("failed", endpoint=request.endpoint, problem=type(problem).__name__, where=_where(problem))
    return error_page(500, "ERROR")


def _where(problem: BaseException) -> list[str]:
    places, trace = [], problem.__traceback__
    while trace is not None:
        places.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places[-8:]


def _stale(problem: StaleFactor) -> AnyResponse:
    note(problem)
    return ask_again()
