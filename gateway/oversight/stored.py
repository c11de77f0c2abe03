"""What every room has stored, for custody: which objects have to be there, and which rows may have objects at all."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.models import Item, ItemVersion
from gateway.archive.service import object_id as item_object
from gateway.custody.check import Expected, Records
from gateway.sharing.models import Bundle
from gateway.signing.models import Agreement, Sealing, SignedEvidence


def recorded(session: Session, *, now: datetime) -> Records:
    """The records of all rooms. A bundle is expected for as long as it can be collected; its bucket lets it end by itself."""
    expected = [*_items(session), *_bundles(session, now), *_evidence(session)]
    owners: set[str] = set()
    for model in (Item, Bundle, Agreement, SignedEvidence):
        owners.update(session.scalars(select(model.id)))
    return Records(expected, frozenset(owners))


def _items(session: Session) -> Iterator[Expected]:
    query = select(ItemVersion.item_id, ItemVersion.version, ItemVersion.size, ItemVersion.sha256)
    for item, version, size, digest in session.execute(
        query.where(ItemVersion.state.in_(("CHECKING", "READY")))
    ):
        yield Expected("objects", item_object(item), version, size, digest)


def _bundles(session: Session, now: datetime) -> Iterator[Expected]:
    query = select(Bundle.id, Bundle.size, Bundle.sha256)
    for bundle, size, digest in session.execute(
        query.where(Bundle.state == "READY", Bundle.expires_at > now)
    ):
        yield Expected("bundles", f"bundle-{bundle}", 1, size, digest)


def _evidence(session: Session) -> Iterator[Expected]:
    """The PDF that was signed, the signed PDF, the drawing, the package: each once it is on record."""
    for row in session.execute(select(Agreement.id, Agreement.signed_sha256, Agreement.sealed_sha256)):
        if row.signed_sha256 is not None:
            yield Expected("evidence", f"agreement-{row.id}", 1, None, row.signed_sha256)
        if row.sealed_sha256 is not None:
            yield Expected("evidence", f"agreement-{row.id}", 2, None, row.sealed_sha256)
    drawn = select(SignedEvidence.id, SignedEvidence.drawing_sha256).where(
        SignedEvidence.drawing_sha256.is_not(None)
    )
    for kept, digest in session.execute(drawn):
        yield Expected("evidence", f"drawing-{kept}", 1, None, digest)
    for agreement in session.scalars(select(Sealing.agreement_id).where(Sealing.packed_at.is_not(None))):
        yield Expected("evidence", f"package-{agreement}", 1)
