"""Who may open a route: declared on the view itself, checked before it runs.

A route that declares nothing keeps the portal from starting.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, TypeVar

from flask import Flask

from gateway.principal import Actor, Role

Kind = Literal["public", "half", "staff", "partner", "any"]
View = TypeVar("View", bound=Callable[..., object])

BODY_BYTES = 256 * 1024
_MARK = "__sealgate_access__"


@dataclass(frozen=True)
class Access:
    """The coarse door of one route; services decide finely.

    `kind`: public (no session needed), half (password accepted), staff, partner, any (staff or partner). `roles` None: every role
    of that kind. `max_body` bytes of a request; `limit` tries per address beside the general limit, such as "30/minute", reading
    not counted.
    """

    kind: Kind
    roles: frozenset[Role] | None = None
    max_body: int = BODY_BYTES
    limit: str | None = None

    def admits(self, actor: Actor, *, full: bool) -> bool:
        """Whether this kind of principal may know of the route at all; `full`: the second factor was given in this session."""
        if self.kind == "public":
            return True
        if actor.kind not in ("staff", "contact"):
            return False
        if self.kind == "half":
            return True
        return full and self.kind in ("any", "staff" if actor.kind == "staff" else "partner")

    def suits(self, actor: Actor) -> bool:
        """Whether the roles fit; asked only of principals that `admits` let in."""
        return self.roles is None or actor.has(*self.roles)


def access(
    kind: Kind, *, roles: Collection[Role] | None = None, max_body: int = BODY_BYTES, limit: str | None = None
) -> Callable[[View], View]:
    """Declares who may open the view below it; put it under the blueprint's route decorator."""
    declared = Access(kind, None if roles is None else frozenset(roles), max_body, limit)

    def mark(view: View) -> View:
        setattr(view, _MARK, declared)
        return view

    return mark


def declared(app: Flask, endpoint: str | None) -> Access | None:
    """What the view of an endpoint declares; None for no such endpoint."""
    found = getattr(app.view_functions.get(endpoint or ""), _MARK, None)
    return found if isinstance(found, Access) else None


def require_declarations(app: Flask) -> None:
    """Raises RuntimeError naming every route whose view does not say who may open it."""
    bare = sorted(
        {rule.endpoint for rule in app.url_map.iter_rules() if declared(app, rule.endpoint) is None}
    )
    if bare:
        raise RuntimeError("no access declared for: " + ", ".join(bare))
