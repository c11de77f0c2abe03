"""The base of every form."""

from collections.abc import Callable
from typing import TypeVar

from flask_wtf import FlaskForm

from gateway.errors import Invalid
from gateway.web.i18n import language

T = TypeVar("T")


class Form(FlaskForm):  # type: ignore[misc]
    """A form with the token against forged requests; puts a service's Invalid under its field."""

    def put_error(self, problem: Invalid) -> None:
        """Shows the problem under the field it names, or at the head of the form if there is no such field."""
        message = problem.text(language())
        field = self._fields.get(problem.field)
        if field is None:
            self.form_errors.append(message)
        else:
            field.errors = [*field.errors, message]


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
