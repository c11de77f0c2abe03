"""The text of an agreement: a bilingual template, and the template filled with one agreement's values.

A template is plain lines. The first is the title. A line that opens with a clause number ("一、" or "1 ") is a
clause; in Chinese the words up to the first full stop are its heading. `{name}` is a placeholder; there is no other
markup. The structure is read before any value is put in, and each placeholder is replaced once, so that a value can
never become structure or another placeholder.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agreements.errors import BadTemplate, BadValue, UnfilledPlaceholder

Kind = Literal["title", "heading", "body"]

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]{0,39})\}")
_ZH_CLAUSE = re.compile(r"^([一二三四五六七八九十百]{1,4}、)([^。]{1,40})。(.*)$")
_EN_CLAUSE = re.compile(r"^(\d{1,3}) (.+)$")

MAX_LENGTH = 200
LONG_FIELDS: Mapping[str, int] = {
    "client_scope": 2000,
    "contact_list": 2000,
    "liability_clause": 1000,
    "pi_categories": 1000,
    "pi_method": 500,
    "pi_purpose": 500,
    "pi_return": 500,
    "pi_safeguards": 1000,
    "purpose": 500,
}
# These letters and marks are drawn as nothing, so a name made of them would look blank or like another name.
_INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")

# A line cannot break beside these, so a chain of them would run off the page.
_UNBREAKING = frozenset("\u2011\u0f0c")


@dataclass(frozen=True)
class AgreementText:
    """A template: its `version`, and its text in Chinese and English."""

    version: str
    zh: str
    en: str


@dataclass(frozen=True)
class Paragraph:
    """One paragraph of a filled text. `number` is the clause's own ("一、", "1"), empty where there is none."""

    kind: Kind
    text: str
    number: str = ""


@dataclass(frozen=True)
class FilledText:
    """An agreement's words, complete. `text_sha256` (hex) commits to both languages and the template's version."""

    version: str
    zh_paragraphs: tuple[Paragraph, ...]
    en_paragraphs: tuple[Paragraph, ...]
    text_sha256: str


def placeholders(text: AgreementText) -> frozenset[str]:
    """Return the names of every placeholder in either language.

    Raises:
        BadTemplate: a brace stands that is not part of a placeholder.
    """
    whole = text.zh + text.en
    if re.search(r"[{}]", PLACEHOLDER.sub("", whole)):
        raise BadTemplate("a brace stands outside a placeholder")
    return frozenset(PLACEHOLDER.findall(whole))


def fill(text: AgreementText, values: Mapping[str, str]) -> FilledText:
    """Put `values` into the template (policy.md §8). Values for names the template does not have are left aside.

    Raises:
        BadTemplate: the template is malformed.
        UnfilledPlaceholder: values are missing or blank; names all of them.
        BadValue: a value is too long or holds characters that may not stand in an agreement.
    """
    names = placeholders(text)
    given = {name: unicodedata.normalize("NFC", values.get(name, "")).strip() for name in names}
    if blank := [name for name, value in given.items() if _is_blank(value)]:
        raise UnfilledPlaceholder(blank)
    for name in sorted(given):
        check_value(name, given[name])
    zh = _paragraphs(text.zh, given)
    en = _paragraphs(text.en, given)
    return FilledText(text.version, zh, en, _digest(text.version, zh, en))


def check_value(field: str, value: str, limit: int | None = None) -> None:
    """Refuse a value that could hide, reorder or fake words on a page.

    Raises:
        BadValue: longer than `limit` (default: the field's own), or holds a control, format (bidi, zero-width),
            unassigned, combining or invisible character. Private-use characters pass here and are named by `MissingGlyph` when
            the page is set.
    """
    allowed = limit or LONG_FIELDS.get(field, MAX_LENGTH)
    if len(value) > allowed:
        raise BadValue(field, f"longer than {allowed} characters")
    for character in value:
        if reason := refusal(character):
            raise BadValue(field, f"{reason} U+{ord(character):04X}")


def refusal(character: str) -> str:
    """Say why this character may not stand in an agreement; empty where it may."""
    category = unicodedata.category(character)
    if category == "Cf":
        return "format or direction character"
    if category in {"Cc", "Cs", "Cn", "Zl", "Zp"}:
        return "control or unassigned character"
    if category.startswith("M"):
        # What is left after composition stands over its neighbour, as a stroke through a word would.
        return "combining mark"
    if character in _UNBREAKING or (category == "Zs" and character not in " \u3000"):
        return "unbreaking or unusual space or hyphen"
    return "invisible character" if character in _INVISIBLE else ""


def _is_blank(value: str) -> bool:
    return all(c.isspace() or unicodedata.category(c) == "Cf" or c in _INVISIBLE for c in value)


def _paragraphs(template: str, values: Mapping[str, str]) -> tuple[Paragraph, ...]:
    lines = [line.strip() for line in template.splitlines() if line.strip()]
    if not lines:
        raise BadTemplate("the text is empty")
    shapes = [Paragraph("title", lines[0])]
    for line in lines[1:]:
        shapes.extend(_clause(line))
    return tuple(Paragraph(shape.kind, _put(shape.text, values), shape.number) for shape in shapes)


def _clause(line: str) -> list[Paragraph]:
    if zh := _ZH_CLAUSE.match(line):
        number, heading, body = zh.groups()
        return [Paragraph("heading", heading, number), *([Paragraph("body", body)] if body else [])]
    if en := _EN_CLAUSE.match(line):
        return [Paragraph("body", en[2], en[1])]
    return [Paragraph("body", line)]


def _put(text: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: values[match[1]], text)


def canonical_text(filled: FilledText) -> bytes:
    """Return the words and their template's version as canonical JSON, whose SHA-256 is `text_sha256` (docs/formats.md)."""
    return _canonical(filled.version, filled.zh_paragraphs, filled.en_paragraphs)


def _canonical(version: str, zh: tuple[Paragraph, ...], en: tuple[Paragraph, ...]) -> bytes:
    rows = {tag: [[p.kind, p.number, p.text] for p in side] for tag, side in (("zh", zh), ("en", en))}
    whole = {"v": 1, "version": version, **rows}
    return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _digest(version: str, zh: tuple[Paragraph, ...], en: tuple[Paragraph, ...]) -> str:
    return hashlib.sha256(_canonical(version, zh, en)).hexdigest()


# The company's own text (policy.md §8). The words on invisible marks are left out: they may stand only while such
# marks are applied. The last line of the policy's text, the places for signatures and dates, is set as boxes by
# the renderer.
DEFAULT = AgreementText(
    version="NDA-1",
    zh="""客户信息保密协议
编号 {nda_no} 模板 {template_version}
甲方 {company_name}（{company_uscc}）
乙方 {partner_name}（{partner_uscc}），签署人 {signer_name}（{signer_title}）
一、保密信息。甲方为{purpose}提供的客户档案及其衍生内容；客户范围{client_scope}，类别{category_scope}。\
乙方能证明已合法知悉或公开的除外，个人信息不适用该除外。
二、用途。仅用于{purpose}，不得用于营销、画像、模型训练或其他用途。
三、知悉范围。仅限名单{contact_list}内确需知悉并已书面承诺的人员；变更须甲方确认；乙方对其人员行为负责。
四、保护。采取访问控制、加密、终端防护、留痕等合理措施；不得上传公共网盘、群聊或未经同意的第三方服务。
五、禁止复制。未经书面同意，不得复制、拍摄、摘录、修改、去除标记或转交。
六、个人信息。双方选定为：{pi_relation}。委托处理的，目的{pi_purpose}，期限{pi_period}，方式{pi_method}，种类{pi_categories}，\
保护措施见第四条；乙方不得超出约定处理，未经同意不得转委托，接受甲方监督，保障安全并协助甲方履行法定义务、响应个人请求；\
本协议不生效、无效、被撤销或终止的，返还或删除，不得保留。向独立处理者提供的，须另取得单独同意，本条不替代。不得向境外提供。
七、记录与标记。乙方知悉：甲方记录访问、下载的时间、账号、网络地址和副本编号；文件含可见水印，用于识别副本；\
标记不单独证明个人行为。甲方可合理核查履行情况。
八、事件通知。发现或怀疑泄露、篡改、丢失，立即且不迟于{incident_hours}小时通知{incident_contact}，\
说明种类、原因、危害及措施，并配合处置。
九、返还与销毁。用途完成、期满或甲方要求后{return_days}日内返还或彻底删除全部副本，逐份出具证明；\
依法留存的说明依据和期限，且仅存储保护。
十、期限。{effective_from}至{effective_to}；终止后保密义务存续{survival_years}年，个人信息保护义务依法存续。
十一、责任。违约方停止侵害并赔偿损失；{liability_clause}；甲方可立即停止提供。
十二、法律、争议与电子签名。适用中华人民共和国法律；争议协商不成，由{dispute_forum}处理。双方约定，经实名核验、\
二次验证并能发现签后改动的电子签名为可靠电子签名，与手写签名或盖章具有同等法律效力。
""",
    en="""Client Information NDA (short; Chinese prevails)
{company_name} discloses to {partner_name} for {purpose}; clients {client_scope}, classes {category_scope}.
1 No other use: no marketing, profiling, model training.
2 Only {contact_list}, need to know, written undertaking.
3 Reasonable safeguards; no public drives or chat groups.
4 No copying, photographing, altering, unmarking or passing on without written consent.
5 Personal information ({pi_relation}): {pi_purpose}, {pi_period}, {pi_method}, {pi_categories}; no sub-entrusting; \
supervision and assistance; return or delete when terms are void or end; no transfer abroad; independent handlers need \
separate consent.
6 Access is logged; copies bear visible tracing marks that identify the copy, not by themselves a person.
7 Notify {incident_contact} at once, within {incident_hours} h.
8 Return or delete in {return_days} days, certify each copy.
9 {effective_from}–{effective_to}; survives {survival_years} years, longer where law requires.
10 Breach: stop, compensate, {liability_clause}; access may end at once.
11 PRC law; {dispute_forum}.
12 Verified electronic signatures are agreed reliable, equal to hand or seal.
""",
)
