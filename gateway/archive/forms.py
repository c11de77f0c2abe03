"""Forms of the archive: they only gather what was typed; the services judge it."""

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import (
    BooleanField,
    DateField,
    IntegerField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from gateway.archive import vocabulary as words
from gateway.archive.service import ANY_PURPOSE, CaseEntry, ClientEntry, ItemEntry
from gateway.principal import Text
from gateway.web.kit import Form, language

_NEEDED = InputRequired(_("请填写。"))
ANY_PURPOSE_TEXT = Text("合同全部用途", "All purposes of the contract")


def options(known: Mapping[Any, Text], *, empty: object = None) -> list[tuple[str, str]]:
    """The lines of a list to choose from, in the reader's language; `empty` words a first line that chooses nothing."""
    lines = [(str(code), text(language())) for code, text in known.items()]
    return lines if empty is None else [("", str(empty)), *lines]


def class_options() -> list[tuple[str, str]]:
    """F01 to F12 with their names and levels."""
    return [(c.code, f"{c.code} {c.text(language())}（L{c.level}）") for c in words.FIELD_CLASSES.values()]


def purpose_options(*, general: bool = False) -> list[tuple[str, str]]:
    """P01 to P99; `general` puts the contract's own in front."""
    lines = [(code, f"{code} {text(language())}") for code, text in words.PURPOSES.items()]
    return [(ANY_PURPOSE, ANY_PURPOSE_TEXT(language())), *lines] if general else lines


class Boxes(SelectMultipleField):
    """Several of a list, each with its own box."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


class ClientForm(Form):
    """A client; sealed fields left empty keep what is stored."""

    name = StringField(_("姓名或名称"))
    type = SelectField(_("类型"), default="PERSON")
    phone = StringField(_("电话"), description=_("手机号，或带区号的座机。"))
    id_type = SelectField(_("证件类型"), default="")
    id_no = StringField(_("证件号码"))
    reason = TextAreaField(
        _("证件校验未通过的说明"), description=_("仅在号码未通过校验时填写，10 到 500 字。")
    )
    address = StringField(_("地址"))
    status = SelectField(_("状态"), default="INTENT")
    minors = BooleanField(_("涉及不满 14 周岁的未成年人"))

    def offer(self) -> "ClientForm":
        """Fills the lists."""
        self.type.choices = options(words.CLIENT_TYPES)
        self.id_type.choices = options(words.ID_TYPES, empty=_("未提供"))
        self.status.choices = options(words.CLIENT_STATES)
        return self

    def entry(self) -> ClientEntry:
        """What was typed."""
        return ClientEntry(
            name=self.name.data or "",
            type=self.type.data or "",
            phone=self.phone.data or "",
            id_type=self.id_type.data or "",
            id_no=self.id_no.data or "",
            address=self.address.data or "",
            status=self.status.data or "",
            minors=bool(self.minors.data),
            reason=self.reason.data,
        )


class SearchForm(Form):
    """An exact search; sent by POST so that no name stands in an address."""

    asked = StringField(_("姓名、电话、证件号或客户号"), description=_("须完整一致；按密文索引查找。"))


class RevealForm(Form):
    """The purpose of a look at a sealed field."""

    purpose = SelectField(_("用途"))

    def offer(self) -> "RevealForm":
        """Fills the list."""
        self.purpose.choices = purpose_options()
        return self


class BasisForm(Form):
    """A legal basis for classes of fields."""

    field_classes = Boxes(_("信息类别"))
    basis = SelectField(_("合法性基础"))
    purpose = SelectField(_("用途"))
    notice_version = StringField(_("告知书版本"), description=_("依据同意（B1）时必填。"))

    def offer(self) -> "BasisForm":
        """Fills the lists."""
        self.field_classes.choices = class_options()
        self.basis.choices = [(code, f"{code} {text(language())}") for code, text in words.BASES.items()]
        self.purpose.choices = purpose_options(general=True)
        return self


class CaseForm(Form):
    """The catalogue entry."""

    title = StringField(_("题名"))
    category = SelectField(_("类别"), default="KH")
    year = IntegerField(_("年度"), [Optional()])
    retention = SelectField(_("保管期限类别"), default="BG1")
    media = SelectField(_("载体"), default="ELECTRONIC")
    location = StringField(_("存放位置"), description=_("库房-柜-层-盒；电子载体可不填。"))

    def offer(self) -> "CaseForm":
        """Fills the lists."""
        self.category.choices = options(words.CATEGORIES)
        self.retention.choices = [
            (code, f"{code} {text(language())}") for code, text in words.RETENTION.items()
        ]
        self.media.choices = options(words.MEDIA)
        return self

    def entry(self) -> CaseEntry:
        """What was typed."""
        return CaseEntry(
            title=self.title.data or "",
            category=self.category.data or "",
            year=self.year.data,
            retention=self.retention.data or "",
            media=self.media.data or "",
            location=self.location.data or "",
        )


class ItemForm(Form):
    """An item of a case."""

    title = StringField(_("题名"))
    type = SelectField(_("文件类型"))
    classes = Boxes(_("信息类别"))
    level = SelectField(_("密级"), default="", description=_("不低于所含类别的最高级别。"))
    original = SelectField(_("原件或复印件"), default="ORIGINAL")
    author = StringField(_("责任者"))
    dated = DateField(_("文件日期"), [Optional()])

    def offer(self) -> "ItemForm":
        """Fills the lists."""
        self.type.choices = options(words.ITEM_TYPES)
        self.classes.choices = class_options()
        self.level.choices = options(words.LEVELS, empty=_("按类别确定"))
        self.original.choices = options(words.ORIGINALS)
        return self

    def entry(self) -> ItemEntry:
        """What was typed."""
        return ItemEntry(
            title=self.title.data or "",
            type=self.type.data or "",
            classes=tuple(self.classes.data or ()),
            level=int(self.level.data) if self.level.data else None,
            original=self.original.data or "",
            author=self.author.data or "",
            dated=self.dated.data,
        )


class ReasonForm(Form):
    """A step that wants a reason."""

    reason = TextAreaField(_("理由"), description=_("10 到 500 字，写入日志。"))


class GrantForm(Form):
    """A need-to-know grant."""

    grantee = SelectField(_("被授权人"))
    classes = Boxes(_("信息类别"))
    purpose = SelectField(_("用途"))
    days = IntegerField(_("期限（天）"), [_NEEDED], default=7)
    reason = TextAreaField(_("理由"), description=_("10 到 500 字，写入日志。"))

    def offer(self, people: list[tuple[str, str]]) -> "GrantForm":
        """Fills the lists."""
        self.grantee.choices = people
        self.classes.choices = class_options()
        self.purpose.choices = purpose_options()
        return self
