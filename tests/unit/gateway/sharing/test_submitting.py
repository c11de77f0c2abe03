"""Handing in: what makes a share a major matter, and files that cannot be marked, which never leave."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import replace
from typing import Any

import pikepdf
import pytest

from gateway.errors import Refused, Withheld
from gateway.sharing import service as sharing
from gateway.sharing.errors import BadShare
from gateway.sharing.service.drafting import Wish
from tests.factories import World, pdf, photo
from tests.worlds import Scene


def _zip(names: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, data in names.items():
            made.writestr(name, data)
    return out.getvalue()


def _encrypted() -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf())) as made:
        made.save(out, encryption=pikepdf.Encryption(owner="o", user="u", R=6))
    return out.getvalue()


def _signed() -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf())) as made:
        value = pikepdf.Dictionary(
            Type=pikepdf.Name.Sig, Filter=pikepdf.Name("/Adobe.PPKLite"),
            ByteRange=pikepdf.Array([0, 1, 2, 3]), Contents=pikepdf.String("0" * 64),
        )  # fmt: skip
        widget = pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Sig, T=pikepdf.String("S"),
            Rect=pikepdf.Array([0, 0, 0, 0]), V=made.make_indirect(value),
        )  # fmt: skip
        field = made.make_indirect(widget)
        made.pages[0].Annots = pikepdf.Array([field])
        made.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([field]), SigFlags=3)
        made.save(out)
    return out.getvalue()


DOCX = {
    "[Content_Types].xml": b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    b'<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    b'wordprocessingml.document.main+xml"/></Types>',
    "word/document.xml": b"<document/>",
}
UNMARKABLE: dict[str, tuple[str, Any]] = {
    "docx": ("报价.docx", lambda: _zip(DOCX)),
    "dwg": ("平面图.dwg", lambda: b"AC1032" + bytes(4096)),
    "zip": ("资料.zip", lambda: _zip({"a.txt": b"a"})),
    "unknown": ("资料.bin", lambda: os.urandom(4096)),
    "text": ("说明.txt", lambda: "说明".encode() * 100),
    "encrypted": ("加密.pdf", _encrypted),
    "signed": ("签名.pdf", _signed),
    "disguised": ("平面图.pdf", lambda: _zip({"a.txt": b"a"})),
}


@pytest.mark.parametrize("kind", UNMARKABLE)
def test_what_cannot_be_marked_is_never_handed_in(world: World, kind: str) -> None:
    """Refused when it is uploaded, or refused when it is handed in (MARK): in no case is there a share of it."""
    name, content = UNMARKABLE[kind]
    case = world.case()
    item = world.item(case, data=content(), name=name)
    good = world.item(case, "另一张图")
    with world.deps.database.read() as session:
        from gateway.archive.models import ItemVersion

        version = session.query(ItemVersion).filter_by(item_id=item).one()
    assert not version.markable
    world.agreement()
    if version.state == "REFUSED":
        with pytest.raises(BadShare):
            world.draft_share([good, item])
        return
    world.file(case)
    share = world.draft_share([item])
    with pytest.raises(Withheld) as refusal:
        sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    assert "MARK" in refusal.value.codes
    assert world.share(share).state == "DRAFT"


def test_a_version_declared_markable_by_hand_does_not_help(world: World) -> None:
    case = world.case()
    item = world.item(case, data=_zip(DOCX), name="报价.docx")
    world.file(case)
    world.agreement()
    share = world.draft_share([item])
    scene = Scene(world, share, [item])
    scene.sql("UPDATE item_version SET markable = 1 WHERE item_id = :i", i=item)
    with pytest.raises(Exception, match="TAMPERED"):
        sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())


def test_an_item_that_is_not_filed_is_not_handed_in(world: World) -> None:
    item = world.item(world.case())
    world.agreement()
    share = world.draft_share([item])
    with pytest.raises(Withheld) as refusal:
        sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    assert refusal.value.codes == ("FILED",)


def test_pictures_are_marked_and_go_as_a_zip(world: World) -> None:
    items = world.filed_items(1, data=photo(), name="现场.jpg")
    world.agreement()
    share = world.draft_share(items)
    world.approve_share(share)
    scene = Scene(world, share, items)
    row = scene.bundle_row(scene.prepare())
    assert (row.state, row.format) == ("READY", "zip")


# --- major matters, through the service ---------------------------------------------------------------------------


def handed_in(world: World, items: list[str], **more: Any) -> list[str]:
    """The triggers noted at submission."""
    share = world.draft_share(items, **more)
    sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    return world.share(share).major


def test_the_triggers_are_found_when_a_share_is_handed_in(world: World) -> None:
    plain = world.filed_items(1)
    world.agreement(classes=("F03", "F07", "F10"))
    assert handed_in(world, plain) == []
    assert handed_in(world, world.filed_items(1, classes=("F03",))) == ["M1"]
    assert handed_in(world, world.filed_items(2, spare=0)) == ["M2"]
    assert "M8" in handed_in(world, world.filed_items(1, classes=("F10",)))
    assert handed_in(world, plain, valid_days=8) == ["M9"]
    assert handed_in(world, plain, download_limit=4) == ["M9"]


def test_a_major_matter_becomes_active_only_through_the_general_manager(scene: Scene) -> None:
    world = scene.world
    share = world.draft_share(scene.items[:1], valid_days=8)
    sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    for name in ("hod.sj", "arc1"):
        seen = world.share(share).version_hash
        sharing.consent(world.deps, share, version_hash=seen, actor=world.actor(name), now=world.now())
    assert world.share(share).state == "GM_REVIEW"
    with pytest.raises(Refused):
        sharing.prepare(
            world.deps, share, scene.items[:1], wanted=None, actor=scene.partner(), now=world.now()
        )
    sharing.consent(world.deps, share, version_hash=seen, actor=world.actor("gm"), now=world.now())
    row = world.share(share)
    assert row.state == "ACTIVE" and row.ends is not None and row.starts is not None
    assert (row.ends - row.starts).days == 8


def test_a_cancelled_draft_is_over(scene: Scene) -> None:
    world = scene.world
    share = world.draft_share(scene.items[:1])
    sharing.cancel(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    assert world.share(share).state == "CANCELLED"
    wish = Wish("平面图", tuple(scene.items), (world.id("s1"),), "P03")
    for verb in (sharing.submit, sharing.cancel, sharing.take_back):
        with pytest.raises(Refused):
            verb(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    with pytest.raises(Refused):
        sharing.edit(
            world.deps, share, replace(wish, title="新题名"), actor=world.actor("biz.sj"), now=world.now()
        )
