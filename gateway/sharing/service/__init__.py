"""The jobs of sharing, one verb each."""

from gateway.sharing.service.approving import consent, reject, send_back, take_back
from gateway.sharing.service.collecting import acknowledge, collect, open_ticket, reveal
from gateway.sharing.service.drafting import cancel, draft, edit
from gateway.sharing.service.facts import FACTS
from gateway.sharing.service.making import FAILURES, HANDLERS
from gateway.sharing.service.preparing import prepare
from gateway.sharing.service.stopping import SUBSCRIBERS, resume, revoke, suspend, sweep
from gateway.sharing.service.submitting import submit, submit_checklist

__all__ = [
    "FACTS",
    "FAILURES",
    "HANDLERS",
    "SUBSCRIBERS",
    "acknowledge",
    "cancel",
    "collect",
    "consent",
    "draft",
    "edit",
    "open_ticket",
    "prepare",
    "reject",
    "resume",
    "reveal",
    "revoke",
    "send_back",
    "submit",
    "submit_checklist",
    "suspend",
    "sweep",
    "take_back",
]
