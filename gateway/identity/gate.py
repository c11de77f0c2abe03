"""The keeper of sessions that the web layer asks (gateway/web/gate.py)."""

from datetime import datetime

from gateway.deps import Deps
from gateway.identity import service
from gateway.principal import Actor


class Gate:
    """Answers for one portal; holds nothing but its parts."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    def resolve(self, token: str, *, ip: str, agent: str, now: datetime) -> tuple[Actor, bool] | None:
        """The person behind a session token and whether the session is whole; None for any token that is not live."""
        return service.resolve(self._deps, token, ip=ip, agent=agent, now=now)

    def confirm(self, actor: Actor, code: str, *, now: datetime) -> Actor:
        """The same person with `mfa_at` = now; raises Invalid("otp") for a wrong or used code, TooMany after too many."""
        return service.confirm(self._deps, actor, code, now=now)

    def prefer(self, actor: Actor, language: str, *, now: datetime) -> None:
        """Keeps the person's language."""
        service.set_language(self._deps, language, actor=actor, now=now)
