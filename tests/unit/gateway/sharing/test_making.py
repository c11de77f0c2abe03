"""Making a bundle: numbers, marks, receipts, formats; a crash anywhere, and what cannot be marked."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import pyrage
import pytest
import pyzipper

from gateway.audit import note
from gateway.audit.verify import verify_receipt
from gateway.errors import NotFound, Withheld
from gateway.identity import service as identity
from gateway.sharing import service as sharing
from gateway.sharing.errors import BadShare
from gateway.sharing.models import Bundle
from gateway.sharing.service import making, sealing, sidecars
from tests.factories import page_count
from tests.worlds import Scene
from watermark.bundle import verify_manifest
from watermark.errors import BadSignature

NUMBER = re.compile(r"^[A-Z][A-Z0-9]{1,5}-[A-Z]{2}·20\d{2}·[A-Z]{2}-\d{4,5}-\d{3,4}_F\d{4,6}$")


def taken(scene: Scene, bundle: str) -> tuple[bytes, str]:
    """A bundle's bytes and its passphrase ("" for age)."""
    partner = scene.partner()
    data = b"".join(scene.stream(scene.collect(partner, bundle), partner))
    if scene.bundle_row(bundle).format == "age":
        return data, ""
    return data, sharing.reveal(scene.deps, bundle, actor=partner, now=scene.world.now())


def companion(scene: Scene, name: str, bundle: str = "") -> bytes:
    """One of a bundle's companions, for its owner."""
    return sidecars.read_sidecar(
        scene.deps, bundle or scene.bundle, name, actor=scene.partner(), now=scene.world.now()
    )


def keys(scene: Scene) -> list[note.Key]:
    """The log's key, as a verifier gets it."""
    return [note.parse_key(scene.deps.log.vkey)]


def test_reserving_stores_the_vector_and_a_number_of_its_own(scene: Scene) -> None:
    first, second = scene.copies()[0], scene.copies(scene.prepare(scene.items, actor=scene.partner("s2")))
    numbers = [first.number, *(c.number for c in second)]
    assert all(NUMBER.fullmatch(number) for number in numbers) and len(set(numbers)) == 3
    assert numbers[1].endswith("_F0002") and numbers[2].endswith("_F0001")
    assert len(first.vector) == 34
    assert scene.used() == 0


def test_preparing_is_refused_by_the_gate_and_recorded(scene: Scene) -> None:
    sharing.suspend(
        scene.deps, scene.share, "等待核实相关情况，暂停共享", actor=scene.world.actor("adm"), now=scene.world.now()
    )  # fmt: skip
    with pytest.raises(Withheld) as refusal:
        scene.prepare(scene.items)
    assert refusal.value.codes == ("STATE",)
    assert json.loads(scene.world.leaves("refused")[-1].body)["data"]["conditions"] == ["STATE"]


def test_preparing_again_gives_the_same_bundle(scene: Scene) -> None:
    assert scene.prepare() == scene.prepare(wanted="pdf") == scene.bundle
    assert scene.prepare(wanted="zip") != scene.bundle
    assert scene.prepare(actor=scene.partner("s2")) != scene.bundle
    assert len(scene.copies()) == 1


def test_items_must_be_listed_and_chosen(scene: Scene) -> None:
    unlisted = scene.sql("SELECT id FROM item WHERE id NOT IN (SELECT item_id FROM share_item)")[0][0]
    with pytest.raises(NotFound):
        scene.prepare([unlisted])
    with pytest.raises(NotFound):
        scene.prepare([scene.items[0], "0" * 32])
    with pytest.raises(BadShare):
        scene.prepare([])


# --- formats ----------------------------------------------------------------------------------------------------


def test_a_lone_pdf_is_an_encrypted_pdf_whose_companions_are_served(scene: Scene) -> None:
    data, passphrase = taken(scene, scene.bundle)
    assert data.startswith(b"%PDF-") and b"/AESV3" in data and page_count(data, passphrase) == 2
    with pytest.raises(Exception, match="[Pp]assword"):
        page_count(data)
    manifest, signature = companion(scene, "manifest.json"), companion(scene, "manifest.sig")
    verify_manifest(manifest, signature, scene.deps.manifest_key.public_key())
    assert json.loads(manifest)["items"][0]["copy_number"] == scene.copies()[0].number
    assert hashlib.sha256(manifest).hexdigest() == scene.bundle_row().manifest_sha256
    assert companion(scene, "cover.pdf").startswith(b"%PDF-")


def test_a_manifest_that_was_changed_does_not_verify(scene: Scene) -> None:
    manifest, signature = companion(scene, "manifest.json"), companion(scene, "manifest.sig")
    with pytest.raises(BadSignature):
        verify_manifest(manifest.replace(b"1", b"2", 1), signature, scene.deps.manifest_key.public_key())
    with pytest.raises(BadSignature):
        verify_manifest(manifest, signature, scene.deps.evidence_key.public_key())


def test_both_receipts_verify_offline_and_speak_of_this_bundle(scene: Scene) -> None:
    issued = verify_receipt(companion(scene, "issue.tlog-proof"), keys(scene))
    assert f'"bundle.issue", "bundle", "{scene.bundle}"' in issued.proved[1]
    with pytest.raises(NotFound):
        companion(scene, "collect.tlog-proof")
    scene.collect(scene.partner())
    collected = verify_receipt(companion(scene, "collect.tlog-proof"), keys(scene))
    assert f'"bundle.collect", "bundle", "{scene.bundle}"' in collected.proved[1]
    leaf = json.loads(scene.world.leaves("bundle.issue")[-1].body)["data"]
    assert leaf["manifest_sha256"] == scene.bundle_row().manifest_sha256


def test_a_zip_holds_files_and_companions_under_one_passphrase(scene: Scene) -> None:
    bundle = scene.prepare(scene.items)
    data, passphrase = taken(scene, bundle)
    with pyzipper.AESZipFile(io.BytesIO(data)) as outer:
        outer.setpassword(passphrase.encode())
        held = {name: outer.read(name) for name in outer.namelist()}
    names = {copy.file_name for copy in scene.copies(bundle)}
    assert set(held) == names | {"cover.pdf", "manifest.json", "manifest.sig", "issue.tlog-proof"}
    assert all(page_count(held[name]) == 2 for name in names)
    verify_manifest(held["manifest.json"], held["manifest.sig"], scene.deps.manifest_key.public_key())
    items = json.loads(held["manifest.json"])["items"]
    digests = {item["name"]: item["marked_sha256"] for item in items}
    assert digests == {name: hashlib.sha256(held[name]).hexdigest() for name in names}
    assert verify_receipt(held["issue.tlog-proof"], keys(scene)).proved


def test_several_pdfs_may_be_taken_apart(scene: Scene) -> None:
    made = sharing.prepare(
        scene.deps, scene.share, scene.items, wanted="pdf", actor=scene.partner("s2"), now=scene.world.now()
    )
    scene.world.drain()
    assert [scene.bundle_row(one).format for one in made] == ["pdf", "pdf"]
    assert [scene.bundle_row(one).state for one in made] == ["READY", "READY"]


def test_a_registered_key_opens_an_age_bundle_and_no_passphrase_is_kept(scene: Scene) -> None:
    own = pyrage.x25519.Identity.generate()
    identity.register_age_recipient(
        scene.deps, str(own.to_public()), actor=scene.partner(), now=scene.world.now()
    )
    bundle = scene.prepare(scene.items, wanted="age")
    data, _ = taken(scene, bundle)
    assert scene.bundle_row(bundle).format == "age" and data.startswith(b"age-encryption.org/v1\n")
    with zipfile.ZipFile(io.BytesIO(pyrage.decrypt(data, [own]))) as inner:
        assert {copy.file_name for copy in scene.copies(bundle)} < set(inner.namelist())
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(data, [pyrage.x25519.Identity.generate()])
    with pytest.raises(NotFound):
        sharing.reveal(scene.deps, bundle, actor=scene.partner(), now=scene.world.now())


def test_companions_are_their_owner_s_alone(scene: Scene) -> None:
    for name in ("s2", "d1", "gm", "sys"):
        with pytest.raises(NotFound):
            sidecars.read_sidecar(
                scene.deps, scene.bundle, "cover.pdf", actor=scene.partner(name), now=scene.world.now()
            )
    for other in ("FILE", "../cover.pdf", "passphrase", ""):
        with pytest.raises(NotFound):
            companion(scene, other)


# --- failures ---------------------------------------------------------------------------------------------------


def broken(*_: Any, **__: Any) -> Any:
    """What a crash looks like from inside."""
    raise RuntimeError("power cut")


CRASHES = [
    (making, "issue"),
    (making, "seal_and_store"),
    (making, "_finish"),
    (sealing, "_put"),
]


@pytest.mark.parametrize(("module", "name"), CRASHES, ids=[name for _, name in CRASHES])
def test_a_crash_anywhere_still_ends_in_one_ready_bundle(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    whole, calls = getattr(module, name), iter([broken])

    def once(*given: Any, **more: Any) -> Any:
        return next(calls, whole)(*given, **more)

    monkeypatch.setattr(module, name, once)
    bundle = scene.prepare(wanted="zip")
    assert scene.bundle_row(bundle).state == "READY"
    assert [copy.state for copy in scene.copies(bundle)] == ["READY"]
    data, passphrase = taken(scene, bundle)
    assert hashlib.sha256(data).hexdigest() == scene.bundle_row(bundle).sha256
    with pyzipper.AESZipFile(io.BytesIO(data)) as outer:
        outer.setpassword(passphrase.encode())
        receipt = outer.read("issue.tlog-proof")
    assert json.loads(verified(receipt))["id"] == scene.bundle_row(bundle).issue_leaf
    assert scene.used() == 1 and len(scene.world.leaves("bundle.ready")) == 2


def verified(receipt: bytes) -> bytes:
    """The entry inside a receipt."""
    from gateway.audit.proof import parse_receipt

    return parse_receipt(receipt).entry


def test_a_job_that_is_run_again_changes_nothing(scene: Scene) -> None:
    before = scene.bundle_row()
    with scene.deps.database.read() as session:
        from gateway.jobs.service import view

        job = view(session, before.job_id or "")
    assert job is not None
    making.make(scene.deps, job, lambda *_: None)
    assert scene.bundle_row().sha256 == before.sha256
    assert len(scene.world.leaves("bundle.issue")) == 1


@pytest.mark.parametrize("how", ["refuses", "crashes", "store"])
def test_what_cannot_be_made_fails_spends_nothing_and_uses_no_number_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    from watermark.report import Report

    if how == "refuses":
        refused = Report(status="refused", kind="pdf", reason="ENCRYPTED")
        monkeypatch.setattr(making, "mark_file", lambda *_: (None, refused))
    elif how == "crashes":
        monkeypatch.setattr(making, "mark_file", broken)
    else:
        scene.deps.objects.delete(f"item-{scene.items[1]}", 1)
    bundle = scene.prepare(scene.items)
    row = scene.bundle_row(bundle)
    assert (row.state, row.sha256) == ("FAILED", None)
    assert [copy.state for copy in scene.copies(bundle)] == ["ABANDONED", "ABANDONED"]
    assert scene.used() == 0 and row.failure
    numbers = {copy.number for copy in scene.copies(bundle)}
    partner = scene.partner()
    with pytest.raises(Withheld):
        scene.collect(partner, bundle)
    monkeypatch.undo()
    again = scene.prepare(scene.items[:1], wanted="zip")
    assert not numbers & {copy.number for copy in scene.copies(again)}
    assert scene.bundle_row(again).state == "READY"


def test_a_source_whose_bytes_changed_is_not_marked(scene: Scene) -> None:
    """The stored digest is checked against the bytes that are read, each time."""
    item = scene.items[1]
    scene.deps.objects.delete(f"item-{item}", 1)
    scene.deps.objects.put(f"item-{item}", 1, iter([b"%PDF-1.7 something else"]))
    bundle = scene.prepare([item])
    assert scene.bundle_row(bundle).state == "FAILED"
    assert scene.bundle_row(bundle).failure == "WITHHELD"


def test_a_bundle_revoked_while_it_is_made_never_gets_ready(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = making.seal_and_store

    def revoking(*given: Any) -> Any:
        sharing.revoke(
            scene.deps, scene.share, "合作已经终止，收回全部资料", actor=scene.world.actor("gm"), now=scene.world.now()
        )  # fmt: skip
        return whole(*given)

    monkeypatch.setattr(making, "seal_and_store", revoking)
    bundle = scene.prepare(wanted="zip")
    assert scene.bundle_row(bundle).state == "ABANDONED"
    assert [copy.state for copy in scene.copies(bundle)] == ["ABANDONED"]
    assert not scene.sql("SELECT 1 FROM revealed_secret WHERE bundle_id = :b", b=bundle)


def test_a_bundle_whose_mark_was_not_read_back_is_not_handed_over(scene: Scene) -> None:
    report = scene.copies()[0].report or {}
    report["pages"][0]["marked"] = False
    scene.sql("UPDATE copy SET report = :r WHERE bundle_id = :b", r=json.dumps(report), b=scene.bundle)
    with pytest.raises(Withheld) as refusal:
        scene.collect(scene.partner())
    assert refusal.value.codes == ("MARKED",)


@pytest.fixture
def memory_files() -> Iterator[None]:
    """Every descriptor that was opened is closed again."""
    from pathlib import Path

    def held() -> list[str]:
        links = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return [str(path.readlink()) for path in links if "memfd" in str(path.readlink())]

    before = held()
    yield
    assert held() == before


@pytest.mark.usefixtures("memory_files")
def test_no_memory_file_stays_open(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scene.bundle_row(scene.prepare(scene.items)).state == "READY"
    monkeypatch.setattr(making, "issue", broken)
    assert scene.bundle_row(scene.prepare(scene.items, wanted="zip", actor=scene.partner("s2"))).state == (
        "FAILED"
    )
    with scene.deps.database.read() as session:
        assert session.query(Bundle).count() == 3
