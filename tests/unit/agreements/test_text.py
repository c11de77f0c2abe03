"""The template's structure, and values that may or may not stand in it."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agreements.errors import BadTemplate, BadValue, UnfilledPlaceholder
from agreements.text import DEFAULT, LONG_FIELDS, AgreementText, Paragraph, fill, placeholders

VECTORS = Path(__file__).parents[2] / "vectors" / "agreements"


def test_default_has_the_twelve_clauses_in_order(values):
    filled = fill(DEFAULT, values)
    assert [p.number for p in filled.zh_paragraphs if p.kind == "heading"] == [
        f"{n}、" for n in ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"]
    ]
    assert [p.number for p in filled.en_paragraphs if p.number] == [str(n) for n in range(1, 13)]
    assert filled.zh_paragraphs[0] == Paragraph("title", "客户信息保密协议")
    assert filled.en_paragraphs[0].kind == "title"


def test_default_leaves_out_invisible_marks_and_signature_placeholders():
    assert "不可见" not in DEFAULT.zh
    assert "invisible" not in DEFAULT.en
    assert not {name for name in placeholders(DEFAULT) if "sign" in name} - {"signer_name", "signer_title"}


def test_every_value_stands_in_both_languages_where_it_is_named(values):
    filled = fill(DEFAULT, values)
    zh = "".join(p.text for p in filled.zh_paragraphs)
    en = "".join(p.text for p in filled.en_paragraphs)
    assert not re.search(r"[{}]", zh + en)
    for name, value in values.items():
        assert (value in zh) == (f"{{{name}}}" in DEFAULT.zh)
        assert f"{{{name}}}" not in DEFAULT.en or value in en


def test_digest_of_the_default_text_is_frozen():
    vector = json.loads((VECTORS / "text-1.json").read_text(encoding="utf-8"))
    filled = fill(DEFAULT, vector["values"])
    assert filled.version == vector["template_version"]
    assert filled.text_sha256 == vector["text_sha256"]


def test_any_changed_value_changes_the_digest(values):
    whole = fill(DEFAULT, values).text_sha256
    others = {fill(DEFAULT, {**values, name: value + "改"}).text_sha256 for name, value in values.items()}
    assert len(others) == len(values)
    assert whole not in others


def test_all_blank_placeholders_are_named_at_once(values):
    given_values = {**values, "purpose": "", "nda_no": "  \u3000", "signer_name": "\u200b\u3164"}
    del given_values["dispute_forum"]
    with pytest.raises(UnfilledPlaceholder) as refusal:
        fill(DEFAULT, given_values)
    assert refusal.value.names == ("dispute_forum", "nda_no", "purpose", "signer_name")
    with pytest.raises(UnfilledPlaceholder) as refusal:
        fill(DEFAULT, {})
    assert set(refusal.value.names) == placeholders(DEFAULT)


@pytest.mark.parametrize(
    "character",
    [
        "\n",
        "\r",
        "\t",
        "\x00",
        "\x7f",
        "\x85",
        "\u2028",
        "\u2029",
        "\u200b",
        "\u200d",
        "\u200e",
        "\u202a",
        "\u202e",
        "\u2066",
        "\u2069",
        "\ufeff",
        "\u00ad",
        "\ud800",
        "\uffff",
        "\U000e0041",
        "\ufe0f",
        "\U000e0100",
        "\u3164",
        "\u115f",
        "\u034f",
        "\u00a0",
        "\u2011",
        "\u2007",
        "\u0336",
        "\u20dd",
    ],
)
def test_characters_that_hide_or_reorder_are_refused_with_the_field(values, character):
    with pytest.raises(BadValue) as refusal:
        fill(DEFAULT, {**values, "partner_name": f"甲{character}乙"})
    assert refusal.value.field == "partner_name"
    assert f"U+{ord(character):04X}" in str(refusal.value)


@pytest.mark.parametrize("field", ["partner_name", "contact_list", "purpose"])
def test_length_has_a_limit_of_its_own_for_each_field(values, field):
    limit = LONG_FIELDS.get(field, 200)
    fill(DEFAULT, {**values, field: "长" * limit})
    with pytest.raises(BadValue, match=field):
        fill(DEFAULT, {**values, field: "长" * (limit + 1)})


def test_values_are_composed_and_trimmed(values):
    filled = fill(DEFAULT, {**values, "partner_name": "  Cafe\u0301  "})
    assert any("Café（" in p.text for p in filled.zh_paragraphs)


def test_a_value_is_never_read_as_placeholder_or_structure(values):
    hostile = {**values, "purpose": "{nda_no}", "company_name": "一、假标题。假条款", "nda_no": "1 x"}
    filled = fill(DEFAULT, hostile)
    plain = fill(DEFAULT, values)
    assert [(p.kind, p.number) for p in filled.zh_paragraphs] == [
        (p.kind, p.number) for p in plain.zh_paragraphs
    ]
    assert [(p.kind, p.number) for p in filled.en_paragraphs] == [
        (p.kind, p.number) for p in plain.en_paragraphs
    ]
    assert any("仅用于{nda_no}，" in p.text for p in filled.zh_paragraphs)


@given(st.text(min_size=1, max_size=220))
def test_a_value_stands_literally_or_is_refused(text):
    template = AgreementText("t", "题\n一、标题。前{x}后", "Title\n1 before {x} after")
    try:
        filled = fill(template, {"x": text})
    except (BadValue, UnfilledPlaceholder):
        return
    shown = filled.zh_paragraphs[2].text
    assert filled.zh_paragraphs[1] == Paragraph("heading", "标题", "一、")
    assert shown[0] == "前" and shown[-1] == "后"
    assert filled.en_paragraphs[1] == Paragraph("body", f"before {shown[1:-1]} after", "1")
    assert shown[1:-1] == shown[1:-1].strip()


@pytest.mark.parametrize("zh", ["", "题\n一、头。{", "题\n{Name}", "题\n{a b}", "题\n}{", "题\n{{x}}"])
def test_malformed_templates_are_refused(zh):
    with pytest.raises(BadTemplate):
        fill(AgreementText("t", zh, "Title"), {"x": "1"})
