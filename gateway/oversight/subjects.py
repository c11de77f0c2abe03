"""Whom or what an evidence report is about, and what the rooms' rows say of it beside the log."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.models import Case, Item, ItemVersion
from gateway.errors import NotFound
from gateway.identity.models import Contact, Organisation
from gateway.oversight import names
from gateway.oversight.filters import Wanted
from gateway.oversight.relations import Pair
from gateway.oversight.words import kind_text, state_text
from gateway.principal import Text
from gateway.sharing.models import Approval, Bundle, Collection, Copy, Share, Transfer
from gateway.signing.models import Agreement

Facts = list[tuple[Text, str]]
MOST = 200
_NUMBER, _STATE = Text("编号", "Number"), Text("状态", "State")


def subjects(session: Session, wanted: Wanted) -> list[Pair]:
    """What a report can be made about, of what was looked for."""
    found: list[Pair | None] = []
    if wanted.copy:
        found.append(_pair("copy", names.found_id(session, "copy", wanted.copy)))
    if wanted.file:
        found.append(names.found_file(session, wanted.file))
    if wanted.partner:
        found.append(_pair("organisation", names.found_id(session, "organisation", wanted.partner)))
    if wanted.kind and wanted.object and wanted.kind in _READERS:
        found.append((wanted.kind, names.object_id(session, wanted.kind, wanted.object)))
    if wanted.value:
        found += [
            _pair(kind, names.found_id(session, kind, wanted.value)) for kind in ("copy", "case", "share")
        ]
    return list(dict.fromkeys(pair for pair in found if pair is not None))


def _pair(kind: str, identifier: str | None) -> Pair | None:
    return None if identifier is None else (kind, identifier)


def facts(session: Session, about: Pair) -> tuple[str, Facts]:
    """Its number, and what is known of it; raises NotFound for what there is not or no report is made about.

    Columns only: a guarded row that was tampered with must not keep anybody from its report.
    """
    reader = _READERS.get(about[0])
    found = None if reader is None else reader(session, about[1])
    if found is None:
        raise NotFound
    number, pairs = found
    return number, [
        (Text("对象", "Subject"), f"{kind_text(about[0]).zh} {kind_text(about[0]).en}"),
        (_NUMBER, number),
        *pairs,
    ]


def _copy(session: Session, key: str) -> tuple[str, Facts] | None:
    columns = (
        Copy.number, Copy.state, Copy.version, Copy.file_name, Copy.marked_sha256, Copy.created_at, Copy.item_id,
        Bundle.id, Bundle.format, Bundle.size, Bundle.sha256, Bundle.manifest_sha256, Share.number.label("share"),
        Contact.name, Organisation.name.label("partner"),
    )  # fmt: skip
    query = select(*columns).join(Bundle, Bundle.id == Copy.bundle_id).join(Share, Share.id == Copy.share_id)
    query = query.outerjoin(Contact, Contact.id == Copy.contact_id)
    query = query.outerjoin(Organisation, Organisation.id == Contact.organisation_id)
    row = session.execute(query.where(Copy.id == key)).first()
    if row is None:
        return None
    item = names.numbers(session, [("item", row.item_id)]).get(("item", row.item_id), row.item_id)
    return row.number, [
        (_STATE, _state("copy", row.state)),
        (Text("文件", "Item"), f"{item} v{row.version}  {row.file_name}"),
        (Text("共享", "Share"), row.share),
        (Text("领取人", "Recipient"), f"{row.name or '–'}，{row.partner or '–'}"),
        (Text("制作时间", "Made"), _time(row.created_at)),
        (Text("加标记后的摘要 SHA-256", "SHA-256 of the marked file"), row.marked_sha256 or "–"),
        (Text("领取包", "Bundle"), f"{row.format}, {row.size} B, SHA-256 {row.sha256 or '–'}"),
        (Text("清单摘要 SHA-256", "SHA-256 of the manifest"), row.manifest_sha256 or "–"),
        *_deliveries(session, row.id),
    ]


def _deliveries(session: Session, bundle: str) -> Iterator[tuple[Text, str]]:
    query = (
        select(Transfer.at, Transfer.start, Transfer.sent, Transfer.outcome)
        .join(Collection, Collection.id == Transfer.collection_id)
        .where(Collection.bundle_id == bundle)
        .order_by(Transfer.at)
        .limit(MOST)
    )
    for row in session.execute(query):
        yield Text("传输", "Transfer"), f"{_time(row.at)}  {row.start}+{row.sent} B  {row.outcome}"


def _share(session: Session, key: str) -> tuple[str, Facts] | None:
    columns = (Share.number, Share.state, Share.purpose, Share.starts, Share.ends, Share.download_limit)
    row = session.execute(select(*columns).where(Share.id == key)).first()
    if row is None:
        return None
    decided = select(Approval.stage, Approval.decision, Approval.at).where(Approval.share_id == key)
    copies = select(Copy.number).where(Copy.share_id == key).order_by(Copy.number).limit(MOST)
    return row.number, [
        (_STATE, _state("share", row.state)),
        (Text("用途", "Purpose"), row.purpose),
        (Text("有效期", "Valid"), f"{_time(row.starts)} – {_time(row.ends)}"),
        (Text("每件下载次数", "Downloads per item"), str(row.download_limit)),
        *(
            (Text("审批", "Approval"), f"{a.stage} {a.decision} {_time(a.at)}")
            for a in session.execute(decided)
        ),
        (Text("副本", "Copies"), _joined(session.scalars(copies))),
    ]


def _organisation(session: Session, key: str) -> tuple[str, Facts] | None:
    columns = (Organisation.name, Organisation.uscc, Organisation.category, Organisation.state)
    row = session.execute(select(*columns).where(Organisation.id == key)).first()
    if row is None:
        return None
    agreements = select(Agreement.number, Agreement.state).where(Agreement.organisation_id == key)
    people = (
        select(Contact.name).where(Contact.organisation_id == key).order_by(Contact.created_at).limit(MOST)
    )
    signed = (f"{a.number} {_state('agreement', a.state)}" for a in session.execute(agreements.limit(MOST)))
    return row.name, [
        (Text("统一社会信用代码", "Credit code"), row.uscc),
        (_STATE, _state("organisation", row.state)),
        (Text("联系人", "Contacts"), _joined(session.scalars(people))),
        (Text("协议", "Agreements"), _joined(signed)),
    ]


def _case(session: Session, key: str) -> tuple[str, Facts] | None:
    row = session.execute(select(Case.number, Case.temp_no, Case.state).where(Case.id == key)).first()
    return None if row is None else (row.number or row.temp_no, [(_STATE, _state("case", row.state))])


def _item(session: Session, key: str) -> tuple[str, Facts] | None:
    if session.scalar(select(Item.id).where(Item.id == key)) is None:
        return None
    versions = select(ItemVersion.version, ItemVersion.sha256).where(ItemVersion.item_id == key)
    copies = select(Copy.number).where(Copy.item_id == key).order_by(Copy.number).limit(MOST)
    number = names.numbers(session, [("item", key)]).get(("item", key), key)
    return number, [
        *(
            (Text("版次", "Version"), f"v{v.version}  SHA-256 {v.sha256 or '–'}")
            for v in session.execute(versions.order_by(ItemVersion.version))
        ),
        (Text("副本", "Copies"), _joined(session.scalars(copies))),
    ]


_READERS: Mapping[str, Callable[[Session, str], tuple[str, Facts] | None]] = {
    "copy": _copy,
    "share": _share,
    "organisation": _organisation,
    "case": _case,
    "item": _item,
}


def _state(kind: str, state: str) -> str:
    text = state_text(kind, state)
    return text.zh if text.zh == text.en else f"{text.zh} {text.en}"


def _joined(texts: Any) -> str:
    found: Sequence[str] = list(texts)
    return "、".join(found) or "–"


def _time(at: Any) -> str:
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
