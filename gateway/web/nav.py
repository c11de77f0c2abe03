"""What stands in the sidebar and in the tabs: each room enters its own pages, and sees only what its reader's roles open."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from flask import Blueprint, Flask, current_app, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import lazy_gettext as _

from gateway.principal import Role
from gateway.web.visitor import actor, is_full

NAV = "sealgate.nav"
Group = Literal["todo", "share", "archive", "watch", "company"]
GROUPS: dict[Group, Any] = {
    "todo": _("待办"),
    "share": _("分享"),
    "archive": _("档案"),
    "watch": _("监督"),
    "company": _("单位与人员"),
}


@dataclass(frozen=True)
class Entry:
    """One link: `count` tells how many wait there; `home` marks the page its readers land on after signing in."""

    label: Any
    endpoint: str
    group: Group
    roles: frozenset[Role] | None
    kind: Literal["staff", "partner"]
    icon: str
    order: int
    count: Callable[[], int] | None

    @property
    def url(self) -> str:
        """Its path."""
        return url_for(self.endpoint)

    @property
    def current(self) -> str | None:
        """How the shown page lies to this one, as aria-current says it: `page` itself, `true` for a page below it, else None.

        A page with an entry of its own marks that one only.
        """
        if request.endpoint == self.endpoint:
            return "page"
        if request.endpoint in {entry.endpoint for entry in current_app.extensions[NAV]}:
            return None
        return "true" if request.path.startswith(self.url.rstrip("/") + "/") else None


def nav(
    bp: Blueprint,
    label: Any,
    endpoint: str,
    *,
    group: Group = "share",
    roles: Collection[Role] | None = None,
    kind: Literal["staff", "partner"] = "staff",
    icon: str = "file",
    order: int = 50,
    count: Callable[[], int] | None = None,
) -> None:
    """Enters one page of a room: `label` is lazy_gettext, `endpoint` the view's name in `bp`; lower `order` stands first."""
    entry = Entry(
        label,
        f"{bp.name}.{endpoint}",
        group,
        None if roles is None else frozenset(roles),
        kind,
        icon,
        order,
        count,
    )

    def enter(state: BlueprintSetupState) -> None:
        state.app.extensions.setdefault(NAV, []).append(entry)

    bp.record(enter)


def require_pages(app: Flask) -> None:
    """Raises RuntimeError naming every entry whose page does not exist or cannot be opened without an id."""
    plain = {r.endpoint for r in app.url_map.iter_rules() if not r.arguments and "GET" in (r.methods or ())}
    lost = sorted(e.endpoint for e in app.extensions.setdefault(NAV, []) if e.endpoint not in plain)
    if lost:
        raise RuntimeError("navigation to pages that do not exist: " + ", ".join(lost))


def entries() -> list[Entry]:
    """The entries of the present reader, in order; nobody without a full session has any."""
    if not is_full():
        return []
    person = actor()
    kind = "staff" if person.kind == "staff" else "partner"
    mine = [
        e for e in current_app.extensions[NAV] if e.kind == kind and (e.roles is None or person.has(*e.roles))
    ]
    return sorted(mine, key=lambda e: (list(GROUPS).index(e.group), e.order))


def grouped() -> list[tuple[Any, list[Entry]]]:
    """The sidebar: group names with their entries, empty groups left out."""
    mine = entries()
    groups = [(text, [e for e in mine if e.group == key]) for key, text in GROUPS.items()]
    return [(text, found) for text, found in groups if found]
