"""Pages of messages: what was told to the reader, for staff and for contacts."""

from flask import Blueprint, Response, redirect, request, url_for
from flask_babel import lazy_gettext
from werkzeug.wrappers import Response as AnyResponse

from gateway.oversight import message_queries, service
from gateway.oversight.forms import BareForm
from gateway.web.kit import access, actor, deps, nav, now, page


def add_message_pages(bp: Blueprint) -> None:
    """Enters the pages of this module into the blueprint of oversight."""
    bp.add_url_rule("/messages", view_func=messages, methods=["GET"])
    bp.add_url_rule("/my/messages", view_func=my_messages, methods=["GET"])
    bp.add_url_rule("/messages/read", view_func=read_all, methods=["POST"])
    bp.add_url_rule("/messages/<message_id>/read", view_func=read, methods=["POST"])
    nav(bp, lazy_gettext("消息"), "messages", group="company", icon="info", order=80, count=_unread)
    nav(bp, lazy_gettext("消息"), "my_messages", kind="partner", icon="info", order=40)


def _unread() -> int:
    return message_queries.unread(deps(), actor=actor())


@access("staff")
def messages() -> Response:
    """A staff member's messages and those to their roles."""
    return _page("oversight/messages.html")


@access("partner")
def my_messages() -> Response:
    """A contact's messages."""
    return _page("oversight/my_messages.html")


def _page(template: str) -> Response:
    before = request.args.get("before", "")[:32] or None
    return page(template, found=message_queries.messages(deps(), before, actor=actor()))


@access("any")
def read(message_id: str) -> AnyResponse:
    """Marks one message as read."""
    if BareForm().validate_on_submit():
        service.mark_read(deps(), message_id, actor=actor(), now=now())
    return _back()


@access("any")
def read_all() -> AnyResponse:
    """Marks the reader's own messages as read."""
    if BareForm().validate_on_submit():
        service.mark_all_read(deps(), actor=actor(), now=now())
    return _back()


def _back() -> AnyResponse:
    return redirect(url_for("oversight.my_messages" if actor().kind == "contact" else "oversight.messages"))
