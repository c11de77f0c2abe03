"""The pieces of pages: what they say, in which order, and that nothing typed becomes markup."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import get_flashed_messages, render_template_string
from wtforms import BooleanField, HiddenField, RadioField, SelectField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired
from wtforms.widgets import CheckboxInput, ListWidget

from gateway.errors import Invalid
from gateway.policy.release import Condition, Decision
from gateway.principal import Text
from gateway.web.kit import Form, flash_text

HOSTILE = """<script>alert(1)</script>"><img src=x onerror=alert(1)>'{{ 7*7 }}"""
CONDITIONS = (
    Condition("STATE", "met", None, ("entry-1",)),
    Condition("NDA", "unmet", Text("没有生效的协议。", "No agreement in force.")),
    Condition("MASK", "not_enabled"),
    Condition("VALID", "unmet"),
    Condition("SCAN", "waived", Text("未扫描", "Not scanned")),
)


class Boxes(SelectMultipleField):
    """Several of a list, each with its own box."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


class Everything(Form):
    """One field of each kind."""

    name = StringField("姓名", description="与证件一致", validators=[InputRequired("请填写姓名。")])
    purpose = SelectField("用途", choices=[SelectChoice("P01", "量房设计")])
    classes = SelectMultipleField(
        "字段类别", choices=[SelectChoice("F01", "姓名"), SelectChoice("F02", "联系方式")]
    )
    way = RadioField("方式", choices=[SelectChoice("a", "在线"), SelectChoice("b", "下载")])
    boxes = Boxes("类别", choices=[SelectChoice("F01", "姓名"), SelectChoice("F02", "联系方式")])
    agreed = BooleanField("我已阅读全文")
    hidden = HiddenField("x")


def drawn(portal: Any, source: str, language: str = "zh-CN", **values: Any) -> str:
    """A scrap of template, drawn as a stranger sees it."""
    with portal.app.test_request_context("/", headers={"Accept-Language": language}):
        return render_template_string('{% import "sg.html" as sg %}' + source, **values)


def test_unmet_conditions_come_first_with_the_way_to_mend_them(portal: Any) -> None:
    decision = Decision("copy", "submit", CONDITIONS)
    text = drawn(portal, '{{ sg.checklist(d, {"NDA": "/nda"}) }}', d=decision)
    order = [
        text.index(word)
        for word in ("保密协议生效", "在有效期内", "共享生效、未撤销", "脱敏已复核", "病毒扫描通过")
    ]
    assert order == sorted(order)
    assert '<span class="sg-small" role="status">2 项未满足，共 5 项</span>' in text
    assert '<a class="btn btn-line btn-sm" href="/nda">签署或续签</a>' in text
    assert "申请延期" in text
    assert re.findall(r'aria-label="(\S+)"', text) == ["未满足", "未满足", "满足", "未启用", "免除"]


def test_a_condition_that_is_not_judged_is_never_shown_as_met(portal: Any) -> None:
    text = drawn(portal, "{{ sg.checklist(c) }}", "en", c=[Condition("MASK", "not_enabled")])
    assert "Not enabled" in text
    assert 'data-tone="ok"' not in text


@pytest.mark.parametrize("field", ["name", "purpose", "classes", "agreed"])
def test_every_field_has_its_label_and_its_errors_are_tied_to_it(portal: Any, field: str) -> None:
    with portal.app.test_request_context("/"):
        form = Everything()
        form.put_error(Invalid(field, Text("改一下。", "Change it.")))
        text = render_template_string('{% import "sg.html" as sg %}{{ sg.field(f) }}', f=form[field])
    assert re.search(rf'<label[^>]*for="{field}"', text)
    assert re.search(rf'id="{field}"', text)
    control = re.search(r"<(?:input|select)[^>]*>", text)
    assert control is not None
    assert 'aria-invalid="true"' in control.group(0)
    assert f"{field}-error" in control.group(0)
    assert f'<p class="sg-error" id="{field}-error" role="alert">' in text
    assert "改一下。" in text


def test_choices_stand_in_a_named_group(portal: Any) -> None:
    with portal.app.test_request_context("/"):
        text = render_template_string(
            '{% import "sg.html" as sg %}{{ sg.field(f.way) }}{{ sg.field(f.boxes) }}{{ sg.field(f.hidden) }}',
            f=Everything(),
        )
    assert text.count("<fieldset") == 2
    assert text.count("<legend") == 2
    assert re.findall(r'<label[^>]*for="(\w+-\d)"', text) == ["way-0", "way-1", "boxes-0", "boxes-1"]
    assert re.findall(r'<input[^>]*type="(\w+)"', text) == [
        "radio",
        "radio",
        "checkbox",
        "checkbox",
        "hidden",
    ]
    assert '<input id="hidden" name="hidden" type="hidden"' in text


def test_problems_of_no_field_stand_at_the_head(portal: Any) -> None:
    with portal.app.test_request_context("/"):
        form = Everything()
        form.put_error(Invalid("elsewhere", Text("整体不行。", "Not as a whole.")))
        assert list(form.form_errors) == ["整体不行。"]
        assert "整体不行。" in render_template_string(
            '{% import "sg.html" as sg %}{{ sg.problems(f) }}', f=form
        )


def test_a_form_speaks_the_reader_s_language(portal: Any, token_of: Any) -> None:
    for who, said in (("archivist", ["超过上限。"]), ("partner", ["Above the limit."])):
        browser = portal.client(who)
        answer = browser.post("/form", data={"csrf_token": token_of(browser), "days": "31"})
        assert answer.get_json()["field"] == said
    browser = portal.client("archivist")
    assert browser.post("/form", data={"csrf_token": token_of(browser), "days": "x"}).get_json() == {
        "valid": False
    }


@pytest.mark.parametrize(
    "source",
    [
        "{{ sg.pill(x) }}",
        "{{ sg.ledger(x, x) }}",
        "{{ sg.note('ok', x, x, '/', x) }}",
        "{{ sg.empty(x, x, '/', x) }}",
        "{{ sg.facts([(x, x)]) }}",
        "{{ sg.timeline([{'text': x, 'at': at, 'proof': x, 'href': '/'}]) }}",
        "{{ sg.progress(1, 2, x) }}",
        "{{ sg.steps([x], 0) }}",
        "{{ sg.pen('sig', x) }}",
        "{{ sg.copy_button(x, x) }}",
        "{{ sg.upload('/u', x) }}",
        "{{ sg.seam(text=x) }}",
        "{{ sg.icon('ok', x) }}",
    ],
)
def test_what_was_typed_never_becomes_markup(portal: Any, source: str) -> None:
    text = drawn(portal, source, x=HOSTILE, at=datetime(2026, 11, 23, tzinfo=UTC))
    assert "<script>" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text
    assert "49" not in text


def test_the_four_honest_labels_are_always_there(portal: Any) -> None:
    text = drawn(portal, "{{ sg.controls() }}", "en")
    assert re.findall(r"<dt[^>]*>([^<]+)</dt>", text) == [
        "Preventable",
        "Deterred",
        "Traceable",
        "Out of reach",
    ]


def test_a_code_is_asked_for_only_when_the_last_is_old(portal: Any) -> None:
    source = '{% import "sg.html" as sg %}{{ sg.fresh() }}'
    shown = {}
    for who in ("archivist", "stale"):
        browser = portal.client(who)
        with browser:
            browser.get("/both")
            shown[who] = render_template_string(source)
    assert shown["archivist"].strip() == ""
    assert 'autocomplete="one-time-code"' in shown["stale"]
    assert 'name="otp"' in shown["stale"]


def test_a_sentence_for_the_next_page_is_shown_once(portal: Any, token_of: Any) -> None:
    browser = portal.client("archivist")
    browser.post("/act", data={"csrf_token": token_of(browser)})
    shown = browser.get("/staff").get_data(as_text=True)
    assert re.search(r'data-tone="ok" role="status">.*?<p>\s*<strong>已保存。</strong>', shown)
    assert "已保存。" not in browser.get("/staff").get_data(as_text=True)


def test_a_sentence_keeps_its_tone(portal: Any) -> None:
    with portal.app.test_request_context("/", headers={"Accept-Language": "en"}):
        flash_text(Text("没有成。", "It failed."), "fail")
        flash_text("plain")
        assert get_flashed_messages(with_categories=True) == [("fail", "It failed."), ("ok", "plain")]


@pytest.mark.parametrize(
    ("who", "path"), [(None, "/start"), ("partner", "/mine"), ("archivist", "/staff"), ("half", "/nowhere")]
)
def test_pages_can_be_walked_without_eyes_or_mouse(portal: Any, who: str | None, path: str) -> None:
    text = portal.client(who).get(path).get_data(as_text=True)
    assert text.count("<h1>") == 1
    assert text.count("<main") == 1
    first = re.search(r"<body>\s*<a([^>]*)>", text)
    assert first is not None
    assert 'href="#main"' in first.group(1)
    assert re.search(r'<main [^>]*id="main"', text)
    for name in re.findall(r'<input(?![^>]*type="hidden")[^>]*\bid="([^"]+)"', text):
        assert re.search(rf'<label[^>]*for="{name}"', text)
    assert all("aria-label=" in tag for tag in re.findall(r"<nav[^>]*>", text))
    assert not re.search(r"<svg(?![^>]*(?:aria-hidden|aria-label))", text)
    assert not re.search(r'tabindex="[1-9]', text)


def test_demonstration_data_is_named_as_such(build: Any) -> None:
    assert "演示数据" in build().client().get("/start").get_data(as_text=True)
    assert "演示数据" not in build(demo=False).client().get("/start").get_data(as_text=True)
