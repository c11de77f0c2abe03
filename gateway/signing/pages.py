"""What signing's views share: trying a service from a form, and answers that are files."""

from flask import Response, make_response

from gateway.web.form import done, tried
from gateway.web.kit import Form

__all__ = ["done", "file", "status", "tried"]


def status(*forms: Form) -> int:
    """422 for a page that is shown again with the errors of a form."""
    return 422 if any(form.errors or form.form_errors for form in forms) else 200


def file(data: bytes, kind: str, name: str, *, attached: bool = False) -> Response:
    """Bytes under a file name of plain letters, shown in the browser or kept."""
    answer = make_response(data)
    answer.content_type = kind
    answer.headers["Content-Disposition"] = f'{"attachment" if attached else "inline"}; filename="{name}"'
    return answer
