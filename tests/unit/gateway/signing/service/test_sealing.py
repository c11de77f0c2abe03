"""Sealing: nothing comes into force but what carries every signature, on the very bytes shown, under the right seal."""

import hashlib
import json
from dataclasses import replace

import pytest

from agreements.credentials import development_ca
from agreements.signature import Sealer
from agreements.validation import validate
from gateway.release import Ask
from gateway.signing import service
from gateway.signing.models import AgreementEvent, Sealing
from gateway.signing.service import countersigning, drafting, sealing
from gateway.signing.service.facts import agreement_facts


def sealed_bytes(room, agreement) -> bytes:
    return b"".join(room.deps.evidence.open(f"agreement-{agreement}", 2))


def error(room, agreement) -> str | None:
    with room.deps.database.read() as session:
        return session.get_one(Sealing, agreement).error


def partner_signed(room) -> str:
    made = room.sent()
    room.sign(made)
    return made


def gate(room) -> list[bool]:
    """For each governing agreement whether its bytes are those that both sides signed."""
    ask = Ask("copy", "collect", room.world.actor("s1"), room.now, contact=room.world.id("s1"))
    with room.deps.database.read() as session:
        return [fact.intact for fact in agreement_facts(room.deps, session, ask)["agreements"]]


def test_the_embedded_default_seals_at_once_at_b_b_and_says_what_proves_the_time(room) -> None:
    agreement = room.in_force()
    row, signed = room.row(agreement), sealed_bytes(room, agreement)
    assert (row.state, row.level) == ("IN_FORCE", "B-B")
    assert row.sealed_sha256 == hashlib.sha256(signed).hexdigest()
    assert signed.startswith(room.stored(agreement))
    assert hashlib.sha256(room.stored(agreement)).hexdigest() == row.pdf_sha256
    assert validate(signed, room.deps.sealer.roots).sound
    assert service.document(room.deps, agreement, actor=room.world.actor("s1"), now=room.now) == signed
    leaf = next(x for x in room.world.leaves("agreement.complete") if x.object_id == agreement)
    assert json.loads(leaf.body)["data"]["sealed_sha256"] == row.sealed_sha256
    assert "the log's checkpoint is the only evidence" in sealing.evidence_of_time(room.deps.sealer)


def test_every_page_that_a_development_certificate_signs_says_so(room, monkeypatch) -> None:
    monkeypatch.setattr(drafting, "_notice", lambda deps: "")
    agreement = partner_signed(room)
    room.countersign(agreement)
    assert (room.row(agreement).state, error(room, agreement)) == ("PROCESSING", "SEAL")
    assert gate(room) == []


def test_without_a_seal_nothing_comes_into_force(room) -> None:
    agreement = partner_signed(room)
    room.deps = replace(room.deps, sealer=None)
    room.deps.queue.bind(room.deps)
    room.countersign(agreement)
    room.world.drain()
    assert room.row(agreement).state == "PROCESSING" and gate(room) == []


def test_a_signed_document_that_does_not_hold_is_not_taken(room, monkeypatch) -> None:
    whole = sealing.seal
    monkeypatch.setattr(sealing, "seal", lambda *a, **k: whole(*a, **k)[:-300])
    agreement = partner_signed(room)
    room.countersign(agreement)
    assert (room.row(agreement).state, error(room, agreement)) == ("PROCESSING", "SEAL")
    monkeypatch.setattr(sealing, "seal", lambda pdf, marks, *a, **k: whole(pdf, marks[1:], *a, **k))
    assert not sealing.finish(room.deps, agreement, now=room.now)
    monkeypatch.setattr(sealing, "seal", whole)
    assert sealing.finish(room.deps, agreement, now=room.now)
    assert room.row(agreement).state == "IN_FORCE"


def test_a_crash_after_storing_goes_on_with_what_is_stored(room, monkeypatch) -> None:
    agreement = partner_signed(room)
    complete = sealing._complete

    def crash(*_) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sealing, "_complete", crash)
    with pytest.raises(ZeroDivisionError):
        room.countersign(agreement)
    assert room.row(agreement).state == "PROCESSING" and gate(room) == []
    stored = sealed_bytes(room, agreement)
    monkeypatch.setattr(sealing, "_complete", complete)
    room.world.clock.advance(minutes=6)
    room.sweep()
    room.world.drain()
    assert room.row(agreement).state == "IN_FORCE" and sealed_bytes(room, agreement) == stored
    assert not sealing.finish(room.deps, agreement, now=room.now)


def test_a_seal_of_another_company_in_the_store_is_not_taken(room, monkeypatch) -> None:
    agreement = partner_signed(room)
    own, other = room.deps, development_ca("另一家公司", room.now)
    room.deps = replace(own, sealer=Sealer(other, (other.root,)))
    with monkeypatch.context() as patched:
        patched.setattr(sealing, "_complete", lambda *_: None)
        room.countersign(agreement)
    room.deps = own
    assert not sealing.finish(own, agreement, now=room.now)
    assert room.row(agreement).state == "PROCESSING" and gate(room) == []


@pytest.mark.parametrize("version", [1, 2])
def test_the_gate_reads_what_was_shown_and_what_was_signed(room, version) -> None:
    agreement = room.in_force()
    assert gate(room) == [True]
    data = b"".join(room.deps.evidence.open(f"agreement-{agreement}", version))
    room.deps.evidence.delete(f"agreement-{agreement}", version)
    assert gate(room) == [False]
    room.deps.evidence.put(f"agreement-{agreement}", version, iter([data + b" "]))
    assert gate(room) == [False]


def test_swapped_bytes_are_not_sealed(room, monkeypatch) -> None:
    agreement = partner_signed(room)
    with monkeypatch.context() as patched:
        patched.setattr(countersigning, "finish", lambda *_, **__: False)
        room.countersign(agreement)
    room.swap(agreement, room.stored(agreement) + b"\n%")
    assert not sealing.finish(room.deps, agreement, now=room.now)
    assert (room.row(agreement).state, error(room, agreement)) == ("PROCESSING", "NDAHASH")


def test_what_people_did_is_kept_with_where_from_and_how_proved(room) -> None:
    agreement = room.sent()
    token, actor = room.world.session("s1")
    service.view(room.deps, agreement, (1,), actor=actor, now=room.now)
    given = service.Signature(room.row(agreement).pdf_sha256, "供应商联系人一", consent=True)
    service.sign(room.deps, agreement, given, actor=actor, now=room.now)
    room.countersign(agreement)
    with room.deps.database.read() as session:
        kept = {e.event: e for e in session.query(AgreementEvent).filter_by(agreement_id=agreement)}
    assert set(kept) == {"viewed", "signed", "countersigned"}
    for event in ("viewed", "signed"):
        detail = kept[event].detail
        assert (detail["ip"], detail["agent"]) == ("127.0.0.1", "test")
        assert detail["session_sha256"] == hashlib.sha256(actor.session.encode()).hexdigest()
        assert detail["authentication"]["method"] == "totp" and detail["authentication"]["at"]
        assert token not in json.dumps(detail)
    assert kept["countersigned"].by == f"staff:{room.world.id('gm')}"


def test_the_package_is_stored_once_and_names_everything(room) -> None:
    agreement = room.in_force()
    room.world.drain()
    stored = b"".join(room.deps.evidence.open(f"package-{agreement}", 1))
    assert service.evidence_zip(room.deps, agreement, actor=room.world.actor("s1"), now=room.now) == stored
    with room.deps.database.read() as session:
        assert session.get_one(Sealing, agreement).packed_at is not None
