"""Pages of sharing: the partner's shares and bundles, the stream of a ticket, the staff's register and approvals."""

from gateway.sharing.views import approving, delivery, mine, register, wizard
from gateway.sharing.views.room import bp

__all__ = ["approving", "bp", "delivery", "mine", "register", "wizard"]
