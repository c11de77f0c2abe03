"""Forms of sharing: they only gather what was typed; the services judge it."""

from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import (
    HiddenField,
    IntegerField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired
from wtforms.widgets import CheckboxInput, ListWidget

from gateway.principal import Text
from gateway.sharing.queries import WizardChoices
from gateway.sharing.rules import PURPOSES
from gateway.sharing.service.drafting import Wish
from gateway.web.kit import Form, language

RELATIONS: dict[str, Text] = {
    "ENTRUST": Text("委托处理", "Entrusted processing"),
    "PROVIDE": Text("向独立处理者提供", "Provided to an independent handler"),
    "NOPI": Text("不含个人信息", "No personal information"),
}
_NEEDED = InputRequired(_("请填写。"))


class Boxes(SelectMultipleField):
    """Several of a list, each with its own box."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


class ScopedForm(Form):
    """A form whose fields keep their names but have ids of their own, for pages that hold several forms."""

    def scoped(self, scope: str) -> "ScopedForm":
        """Puts the scope before every field's id."""
        for field in self:
            field.id = f"{scope}-{field.id}"
            field.label.field_id = field.id
        return self


class ShareForm(Form):
    """A share: what, to whom, what for, how long and how often."""

    title = StringField(_("共享题名"), description=_("只在公司内部显示。"))
    items = Boxes(_("文件"))
    contacts = Boxes(_("合作单位联系人"))
    purpose = SelectField(_("用途"))
    purpose_note = StringField(_("用途说明"), description=_("用途为“其他”时必填，至少 10 字。"))
    relation = RadioField(_("个人信息关系"))
    valid_days = IntegerField(
        _("有效期（天）"), [_NEEDED], description=_("批准生效起计算，1 到 30 天；高于默认值须总经理批准。")
    )
    download_limit = IntegerField(
        _("每人每个文件可下载次数"), [_NEEDED], description=_("1 到 10 次；高于默认值须总经理批准。")
    )

    def offer(self, choices: WizardChoices) -> "ShareForm":
        """Fills the lists with what the applicant may choose."""
        self.items.choices = [(i.id, f"{i.number} {i.title}") for i in choices.items]
        self.contacts.choices = [(c.id, f"{c.organisation} {c.name}") for c in choices.contacts]
        self.purpose.choices = [(code, f"{code} {text(language())}") for code, text in PURPOSES.items()]
        self.relation.choices = [(code, text(language())) for code, text in RELATIONS.items()]
        return self

    def wish(self) -> Wish:
        """What was typed."""
        return Wish(
            title=self.title.data or "",
            items=tuple(self.items.data or ()),
            contacts=tuple(self.contacts.data or ()),
            purpose=self.purpose.data or "",
            purpose_note=self.purpose_note.data or "",
            valid_days=self.valid_days.data or 0,
            download_limit=self.download_limit.data or 0,
            relation=self.relation.data or "",
        )


class DecisionForm(ScopedForm):
    """An approver's decision, bound to the version that was seen; a reason where it is declined."""

    version_hash = HiddenField()
    reason = TextAreaField(_("理由"), description=_("驳回或退回时必填，10 到 500 字，申请人可见。"))


class ReasonForm(ScopedForm):
    """A reason, written into the log."""

    reason = StringField(_("理由"), description=_("10 到 500 字，写入日志，接收方看不到。"))


class RevokeForm(ReasonForm):
    """A reason, and the share's number typed as confirmation."""

    number = StringField(_("输入共享编号以确认"), render_kw={"autocomplete": "off"})


class PrepareForm(Form):
    """The items and the format a partner asks for; the lists are filled from the share's page."""

    items = Boxes(_("文件"))
    format = RadioField(_("格式"), default="")

    def offer(self, items: list[tuple[str, str]], formats: list[tuple[str, Any]]) -> "PrepareForm":
        """Fills the lists."""
        self.items.choices, self.format.choices = items, formats
        return self
