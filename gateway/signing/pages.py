"""What signing's views share: trying a service from a form, and answers that are files."""

from collections.abc import Callable
from typing import TypeVar

from flask import Response, make_response

from gateway.errors import Invalid
from gateway.web.kit import Form

T = TypeVar("T")


def tried(form: Form, call: Callable[[], T]) -> T | None:
    """What the service gave for a form that was sent and holds; None otherwise, the problem then stands in the form."""
    if not form.validate_on_submit():
        return None
    try:
        return call()
    except Invalid as problem:
        form.put_error(problem)
        return None


def done(form: Form, call: Callable[[], object]) -> bool:
    """Whether the form was sent, holds, and the service did what was asked."""
    return tried(form, lambda: (call(),)) is not None


def status(*forms: Form) -> int:
    """422 for a page that is shown again with the errors of a form."""
    return 422 if any(form.errors or form.form_errors for form in forms) else 200


def file(data: bytes, kind: str, name: str, *, attached: bool = False) -> Response:
    """Bytes under a file name of plain letters, shown in the browser or kept."""
    answer = make_response(data)
    answer.content_type = kind
    answer.headers["Content-Disposition"] = f'{"attachment" if attached else "inline"}; filename="{name}"'
    return answer
