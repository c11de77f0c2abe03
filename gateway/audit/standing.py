"""Whether a row still rests on its object's newest entry: an older image of it, put back whole with its good seal, does not."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit.models import Leaf
from gateway.errors import TamperedRow


def require_newest(session: Session, obj: tuple[str, str], events: Collection[str], leaf: str) -> None:
    """Raises TamperedRow unless `leaf` is the newest of `events` for `obj` (kind, id): those that its row is written with.

    The seal of a guarded row binds its columns to one entry; this binds that entry to the present (DESIGN.md §2.8).
    """
    newest = (
        select(Leaf.id)
        .where(Leaf.object_kind == obj[0], Leaf.object_id == obj[1], Leaf.event.in_(tuple(events)))
        .order_by(Leaf.arrival.desc())
        .limit(1)
    )
    if session.scalar(newest) != leaf:
        raise TamperedRow
