"""The base of every form."""

from flask_wtf import FlaskForm

from gateway.errors import Invalid
from gateway.web.i18n import language


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
