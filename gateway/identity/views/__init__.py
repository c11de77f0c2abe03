"""Pages of identity: the way in, one's own account, staff, departments and partners."""

from gateway.identity.views import enrolment, entrance, own, partners, staff
from gateway.identity.views.room import bp

__all__ = ["bp", "enrolment", "entrance", "own", "partners", "staff"]
