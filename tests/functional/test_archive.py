"""The archive over HTTP, on both installations: intake, upload, filing by two people, looking at a marked page, who sees what."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.archive import service
from tests.factories import World, pdf

PART = 8 << 20
STAFF = ("gm", "dgm", "adm", "hod.sj", "hod.gc", "biz.sj", "biz.gc", "arc1", "arc2", "aud", "sys")


def _filed(portal: World) -> tuple[str, str]:
    case = portal.case()
    item = portal.item(case)
    portal.file(case)
    return case, item


def test_a_document_goes_from_the_desk_to_its_file_number(portal: World) -> None:
    data = pdf(2) + b"\n%" + b"x" * PART
    business, first, second = portal.browser("biz.sj"), portal.browser("arc1"), portal.browser("arc2")
    for browser in (business, first, second):
        assert browser.get("/cases").status_code == 200
    client = portal.company.clients["示例客户甲"]
    case = business.post(f"/clients/{client}/cases/new", {"title": "住宅装修", "year": "2026"}).location
    made = business.post(f"{case}/items/new", {"title": "平面图", "type": "PLAN", "classes": ["F07"]})
    item = made.location
    begun = business.post(f"{item}/uploads", {"name": "平面图.pdf", "size": str(len(data))}).get_json()
    parts = f"/uploads/{begun['upload']}/parts"
    assert business.put(f"{parts}/2", data[PART:]).status_code == 200
    assert business.put(f"{parts}/1", data[: PART - 1]).status_code == 422
    assert business.post(f"/uploads/{begun['upload']}/complete").status_code == 422
    # A second visit with the same file is told what is there already.
    again = business.post(f"{item}/uploads", {"name": "平面图.pdf", "size": str(len(data))}).get_json()
    assert (again["upload"], again["have"]) == (begun["upload"], [2])
    assert business.put(f"{parts}/1", data[:PART]).status_code == 200
    assert business.post(f"/uploads/{begun['upload']}/complete").get_json()["next"] == item
    portal.drain()
    assert hashlib.sha256(data).hexdigest() in business.get(item).get_data(as_text=True)
    for step in ("claim", "submit"):
        assert first.post(f"{case}/{step}").status_code == 302
    assert first.post(f"{case}/file").status_code == 403
    assert second.post(f"{case}/file").status_code == 302
    assert "SG01-KH·2026·SJ-" in second.get(case).get_data(as_text=True)
    refusals = [json.loads(leaf.body)["data"] for leaf in portal.leaves("refused")]
    assert {"code": "SOD-2", "verb": "case.file"}.items() <= refusals[-1].items()


def test_a_page_is_looked_at_with_a_purpose_a_mark_and_an_entry(portal: World) -> None:
    _, item = _filed(portal)
    head = portal.browser("hod.sj")
    assert head.get(f"/items/{item}").status_code == 200
    opened = head.post(f"/items/{item}/versions/1/look", {"purpose": "P08"})
    assert opened.status_code == 302, opened.get_data(as_text=True)
    assert "purpose=P08" in opened.location
    assert head.get(opened.location).status_code == 200
    image = head.get(f"/items/{item}/versions/1/pages/1.webp?purpose=P08")
    assert image.status_code == 200, image.get_data(as_text=True)
    assert image.headers["Cache-Control"] == "no-store"
    assert image.data[:4] == b"RIFF" and image.content_type == "image/webp"
    viewed = [json.loads(leaf.body)["data"] for leaf in portal.leaves("item.view")]
    assert [(v["page"], v["purpose"], v["version"]) for v in viewed] == [(1, "P08", 1)]


@pytest.mark.parametrize("name", STAFF)
def test_each_role_finds_its_own_catalogue(world: World, name: str) -> None:
    case, item = _filed(world)
    browser = world.browser(name)
    paths = (f"/cases/{case}", f"/items/{item}", f"/items/{item}/versions/1/pages/1.webp?purpose=P08")
    lists = name in ("gm", "dgm", "adm", "hod.sj", "biz.sj", "arc1", "arc2", "aud")
    reads = name in ("hod.sj", "arc1", "arc2")
    outside = 403 if name == "sys" else 404
    found = [browser.get(path).status_code for path in paths]
    # Auditors read the log, not the files: the door itself stops them.
    image = 200 if reads else 403 if name == "aud" else outside
    assert found == [200 if lists else outside] * 2 + [image]
    if lists:
        assert ("施工案卷" in browser.get("/cases").get_data(as_text=True)) == reads


@pytest.mark.parametrize("name", ["s1", "d1", None])
def test_partners_and_strangers_learn_nothing_of_the_archive(world: World, name: str | None) -> None:
    case, item = _filed(world)
    browser = world.browser(name)
    unknown = browser.get("/no-such-page").status_code
    for path in ("/cases", f"/cases/{case}", f"/items/{item}", "/clients", "/grants"):
        assert browser.get(path).status_code == unknown


def test_parallel_filings_never_share_a_number(portal: World) -> None:
    cases = []
    for _ in range(6):
        case = portal.case()
        portal.item(case)
        for step in (service.claim_case, service.submit_case):
            step(portal.deps, case, actor=portal.actor("arc1"), now=portal.now())
        cases.append(case)
    reviewer, now = portal.actor("arc2"), portal.now()
    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(lambda c: service.file_case(portal.deps, c, actor=reviewer, now=now), cases))
    volumes = sorted(int(n.rsplit("-", 1)[1]) for n in numbers)
    assert volumes == list(range(volumes[0], volumes[0] + 6))
