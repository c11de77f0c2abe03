"""The blueprint of sharing, and what its views share."""

from collections.abc import Callable

from flask import Blueprint

from gateway.errors import Invalid, StaleFactor
from gateway.principal import Role
from gateway.web.kit import Form, is_fresh

bp = Blueprint("sharing", __name__, template_folder="../templates")
READERS = frozenset({Role.GM, Role.DGM, Role.ADM, Role.HOD, Role.BIZ, Role.ARC, Role.AUD})
APPLICANTS = frozenset({Role.HOD, Role.BIZ})
APPROVERS = frozenset({Role.HOD, Role.DGM, Role.ARC, Role.GM})


def done(form: Form, call: Callable[[], object]) -> bool:
    """Whether the form was sent, holds, and the service did what was asked; the problem stands in the form otherwise."""
    if not form.validate_on_submit():
        return False
    try:
        call()
    except Invalid as problem:
        form.put_error(problem)
        return False
    return True


def need_fresh() -> None:
    """Raises StaleFactor, so that the code is asked for instead of the act being refused by the checklist."""
    if not is_fresh():
        raise StaleFactor
