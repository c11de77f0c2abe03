"""The archive's pages as staff meet them."""

import hashlib

import pytest

from gateway.archive import service


def test_a_client_is_registered_masked_found_and_revealed(house, browse):
    staff = browse("biz.sj")
    sent = staff.post(
        "/clients/new",
        name="示例客户甲",
        type="PERSON",
        phone="13800000000",
        status="INTENT",
        address="示例小区1幢101室",
    )
    assert sent.status_code == 302, sent.get_data(as_text=True)
    shown = staff.get(sent.location).get_data(as_text=True)
    assert "示**" in shown and "138****0000" in shown and "示例小区**" in shown
    assert "示例客户甲" not in shown and "13800000000" not in shown and "101室" not in shown
    found = staff.post("/clients", asked="示例客户甲").get_data(as_text=True)
    assert "KH2026-0001" in found
    assert "KH2026-0001" not in staff.post("/clients", asked="示例客户").get_data(as_text=True)
    head = browse("hod.sj")
    revealed = head.post(f"{sent.location}/fields/phone/reveal", purpose="P07")
    assert "13800000000" in revealed.get_data(as_text=True)
    assert revealed.headers["Cache-Control"] == "no-store"
    assert [e["data"]["purpose"] for e in house.entries("client.revealed")] == ["P07"]
    assert staff.post(f"{sent.location}/fields/phone/reveal", purpose="P07").status_code == 403


def test_a_case_goes_from_intake_to_its_number(house, browse, pdf):
    client = house.client()
    business, first, second = browse("biz.sj"), browse("arc1"), browse("arc2")
    form = {"category": "KH", "year": "2026", "retention": "BG1", "media": "ELECTRONIC", "location": ""}
    case = business.post(f"/clients/{client}/cases/new", title="住宅装修", **form).location
    item = business.post(
        f"{case}/items/new", title="平面图", type="PLAN", classes=["F07"], level="", original="ORIGINAL"
    ).location
    begun = business.post(f"{item}/uploads", name="平面图.pdf", size=str(len(pdf))).get_json()
    digest = hashlib.sha256(pdf).hexdigest()
    refused = business.put(f"/uploads/{begun['upload']}/parts/1", pdf, **{"X-Part-SHA256": "0" * 64})
    assert refused.status_code == 422 and "摘要" in refused.get_json()["message"]
    assert (
        business.put(f"/uploads/{begun['upload']}/parts/1", pdf, **{"X-Part-SHA256": digest}).status_code
        == 200
    )
    assert business.get(f"/uploads/{begun['upload']}").get_json()["have"] == [1]
    done = business.post(f"/uploads/{begun['upload']}/complete").get_json()
    assert done["next"] == item
    waiting = business.get(f"{item}/versions/1/progress", headers={"HX-Request": "true"})
    assert "等待检验" in waiting.get_data(as_text=True) and "HX-Refresh" not in waiting.headers
    house.deps.queue.drain()
    assert business.get(f"{item}/versions/1/progress").headers["HX-Refresh"] == "true"
    page = business.get(item).get_data(as_text=True)
    assert digest in page and "application/pdf" in page
    assert first.post(f"{case}/claim").status_code == 302
    assert first.post(f"{case}/submit").status_code == 302
    assert "1" in second.get("/cases").get_data(as_text=True)
    assert first.post(f"{case}/file").status_code == 403
    assert second.post(f"{case}/file").status_code == 302
    assert "SG01-KH·2026·SJ-0001" in second.get(case).get_data(as_text=True)
    assert "SG01-KH·2026·SJ-0001" in second.get("/cases?number=sg01-kh．2026•sj-0001").get_data(as_text=True)
    # After hand-over the business person knows that it exists, and no more of its title.
    listed = business.get("/cases").get_data(as_text=True)
    assert "SG01-KH·2026·SJ-0001" in listed and "住宅装修" not in listed


def test_forms_come_back_with_the_problem_under_the_field(house, browse):
    client = house.client()
    answer = browse("biz.sj").post(
        f"/clients/{client}/cases/new", title="", category="KH", retention="BG1", media="ELECTRONIC"
    )
    assert answer.status_code == 422
    assert "请填 1 到 100 个字" in answer.get_data(as_text=True)


def test_a_returned_case_says_why_or_the_form_comes_back(house, browse, pdf):
    case, _ = house.reviewed(house.client(), pdf)
    second = browse("arc2")
    assert second.post(f"/cases/{case}/return", reason="短").status_code == 422
    assert second.post(f"/cases/{case}/return", reason="题名与内容不符，请更正后再提交。").status_code == 302
    assert "编目中" in second.get(f"/cases/{case}").get_data(as_text=True)


def test_grants_are_given_confirmed_and_ended(house, browse, pdf):
    case, item = house.filed(house.client(), pdf, classes=("F03",))
    head, archivist, other = browse("hod.sj"), browse("arc1"), browse("biz.gc")
    assert other.get(f"/items/{item}").status_code == 404
    fields = {"grantee": house.people["biz.gc"][0], "classes": ["F03"], "purpose": "P04", "days": "7"}
    bad = head.post(
        f"/cases/{case}/grants/new", reason="工程部需核对业主身份信息。", **{**fields, "days": "91"}
    )
    assert bad.status_code == 422 and "90" in bad.get_data(as_text=True)
    assert (
        head.post(f"/cases/{case}/grants/new", reason="工程部需核对业主身份信息。", **fields).status_code
        == 302
    )
    assert "待档案确认" in head.get("/grants").get_data(as_text=True)
    assert other.get(f"/items/{item}").status_code == 404
    grant = archivist.get("/grants").get_data(as_text=True).split("/grants/")[1].split("/confirm")[0]
    assert archivist.post(f"/grants/{grant}/confirm").status_code == 302
    assert other.get(f"/items/{item}").status_code == 200
    assert other.post(f"/grants/{grant}/end", reason="核对工作已经完成，不再需要。").status_code == 302
    assert other.get(f"/items/{item}").status_code == 404


@pytest.mark.parametrize("path", ["/clients", "/cases", "/grants"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_lists_open_empty_in_both_languages(browse, path, language):
    shown = browse("hod.gc", language).get(path)
    assert shown.status_code == 200


def test_the_system_administrator_finds_no_page_of_the_archive(house, browse, pdf):
    case, item = house.filed(house.client(), pdf)
    system = browse("sys")
    for path in ("/clients", "/cases", f"/cases/{case}", f"/items/{item}", "/grants"):
        assert system.get(path).status_code == 403


def test_a_page_image_passes_the_gate_or_nothing_is_shown(house, browse, pdf):
    _, item = house.filed(house.client(), pdf)
    head = browse("hod.sj")
    assert head.get(f"/items/{item}/versions/1/pages?purpose=P08").status_code == 200
    assert head.get(f"/items/{item}/versions/1/pages").status_code == 404
    assert head.get(f"/items/{item}/versions/1/pages/3.webp?purpose=P08").status_code == 404
    assert browse("hod.gc").get(f"/items/{item}/versions/1/pages/1.webp?purpose=P08").status_code == 404
    # No room here tells the gate of a live session, so that it withholds; the refusal is in the log.
    assert head.get(f"/items/{item}/versions/1/pages/1.webp?purpose=P08").status_code == 409
    assert any("SESS" in e["data"].get("conditions", []) for e in house.entries("refused"))


def test_a_part_without_a_declared_length_is_not_taken(house, browse):
    item = house.item(house.case(house.client()))
    view = service.start_upload(
        house.deps, item, file_name="a.pdf", size=9, actor=house.actor("biz.sj"), now=house.now
    )
    answer = browse("biz.sj").put(f"/uploads/{view.id}/parts/1", b"x" * 8)
    assert answer.status_code == 422
    assert browse("biz.sj2").put(f"/uploads/{view.id}/parts/1", b"x" * 9).status_code == 404
