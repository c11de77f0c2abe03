"""What the web layer asks of whoever keeps sessions; identity answers it, so that web need not know identity."""

from datetime import datetime
from typing import Protocol

from gateway.principal import Actor


class SessionGate(Protocol):
    """Turns the opaque token of a cookie into a person, and a one-time code into a fresh second factor."""

    def resolve(self, token: str, *, ip: str, agent: str, now: datetime) -> tuple[Actor, bool] | None:
        """The person behind a session token and whether the second factor was given; None for any token that is not live."""
        ...

    def confirm(self, actor: Actor, code: str, *, now: datetime) -> Actor:
        """The same person with `mfa_at` = now; raises Invalid("otp") for a wrong or used code, TooMany after too many.

        Whoever answers records both: a code may come by other ways than the web layer's field.
        """
        ...

    def prefer(self, actor: Actor, language: str, *, now: datetime) -> None:
        """Keeps the person's language (`zh-CN` or `en`) for their next visits."""
        ...
