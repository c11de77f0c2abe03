"""Handing a share in: the live checklist for every contact, what makes it a major matter, and submission."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.archive.models import Client, Item
from gateway.deps import Deps
from gateway.errors import Withheld
from gateway.identity.models import Contact, Organisation
from gateway.identity.principals import holders
from gateway.notify.service import Recipient, tell
from gateway.policy.release import Condition, Decision
from gateway.principal import Actor, Role, Text
from gateway.release import Ask, decide
from gateway.sharing.errors import BadShare
from gateway.sharing.models import Share
from gateway.sharing.rules import SHARE, Weight, major, working_days_later
from gateway.sharing.service.drafting import contacts_of, contents_of, items_of, own, require_employment
from gateway.workflow import move


def submit_checklist(deps: Deps, session: Session, share: Share, *, actor: Actor, now: datetime) -> Decision:
    """The release decision at submit for every contact, merged: a condition is met when it is met for each of them."""
    items = tuple((row.item_id, row.version) for row in items_of(session, share.id))
    decisions = [
        (
            row.contact_id,
            decide(
                deps,
                session,
                Ask("copy", "submit", actor, now, share=share.id, contact=row.contact_id, items=items),
            ),
        )
        for row in contacts_of(session, share.id)
    ]
    if not decisions:
        raise BadShare("contacts", Text("请选择联系人。", "Choose a contact."))
    return _merged(session, decisions)


def submit(deps: Deps, share_id: str, *, actor: Actor, now: datetime) -> Decision:
    """Hands a draft in for approval. Raises Withheld with the checklist when a condition is unmet; the refusal is recorded."""
    with deps.job(actor, "share.submit", ("share", share_id), now) as session:
        require_employment(session, actor)
        share = own(session, share_id, actor)
        checklist = submit_checklist(deps, session, share, actor=actor, now=now)
        if not checklist.allowed:
            raise Withheld([c.code for c in checklist.missing], checklist)
        parameters = deps.parameters(session, now)
        share.major = list(major(contents_of(session, share), _weight(session, share), parameters))
        share.submitted_at = now
        share.due_at = working_days_later(now, parameters["approval.expire_wd"])
        move(
            deps,
            session,
            SHARE,
            share,
            "submit",
            actor=actor,
            now=now,
            version_hash=share.version_hash,
            vector=checklist.as_json(),
            major=share.major,
        )
        tell(
            session,
            "approval.waiting",
            first_approvers(session, share, now),
            now=now,
            fields={"type": "对外共享", "no": share.number},
        )
        return checklist


def first_approvers(session: Session, share: Share, now: datetime) -> list[Recipient]:
    """The heads of the applicant's department; the deputy general manager where the applicant is one, or there is none.

    Read from the roles in force, which carry a seal, and not from the department's row, which does not.
    """
    heads = holders(session, Role.HOD, now, department=share.department_id)
    if not heads or share.requester in heads:
        return [Recipient("role", Role.DGM)]
    return [Recipient("account", head) for head in heads]


def _weight(session: Session, share: Share) -> Weight:
    items = [session.get_one(Item, row.item_id) for row in items_of(session, share.id)]
    cases = {item.case_id for item in items}
    counts = {
        c: session.scalar(select(func.count()).select_from(Item).where(Item.case_id == c)) or 0 for c in cases
    }
    listed = {c: sum(1 for item in items if item.case_id == c) for c in cases}
    client = session.get_one(Client, share.client_id)
    return Weight(
        levels=tuple(item.level for item in items),
        clients=1,
        whole_case=any(listed[c] >= counts[c] for c in cases),
        minors=client.minors or any("F10" in item.classes for item in items),
    )


def _merged(session: Session, decisions: Sequence[tuple[str, Decision]]) -> Decision:
    first = decisions[0][1]
    merged = []
    for index, condition in enumerate(first.conditions):
        bad = [
            (contact, d.conditions[index]) for contact, d in decisions if d.conditions[index].state == "unmet"
        ]
        merged.append(condition if not bad else _named(session, bad))
    return Decision(first.exit, first.stage, tuple(merged))


def _named(session: Session, bad: Sequence[tuple[str, Condition]]) -> Condition:
    names = dict.fromkeys(_organisation_name(session, contact) for contact, _ in bad)
    note = bad[0][1].note
    who = "、".join(names)
    text = Text(f"{who}：{note.zh}" if note else who, f"{who}: {note.en}" if note else who)
    return Condition(bad[0][1].code, "unmet", text, bad[0][1].evidence)


def _organisation_name(session: Session, contact_id: str) -> str:
    contact = session.get(Contact, contact_id)
    organisation = session.get(Organisation, contact.organisation_id) if contact is not None else None
    return organisation.name if organisation is not None else "?"


def applicant_is_head(session: Session, share: Share, now: datetime) -> bool:
    """Whether the DGM has to decide the department stage: the applicant heads it, or nobody does."""
    return first_approvers(session, share, now) == [Recipient("role", Role.DGM)]
