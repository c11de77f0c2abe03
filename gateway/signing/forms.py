"""Forms of signing: they only gather what was typed; the services judge it."""

from collections.abc import Mapping

from flask_babel import lazy_gettext as _
from werkzeug.datastructures import FileStorage
from wtforms import (
    BooleanField,
    DateField,
    FileField,
    HiddenField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from gateway.archive.vocabulary import PURPOSES
from gateway.principal import Text
from gateway.signing.results import DraftChoices
from gateway.signing.rules import CLASS_TEXT, KINDS, PAPER_CHECKS, RELATION_TEXT, SIGNED_KINDS
from gateway.signing.service import Scan, Scope, Signature
from gateway.web.kit import Form, language

_NEEDED = InputRequired(_("请填写。"))


class Boxes(SelectMultipleField):
    """Several of a list, each with its own box."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


def options(known: Mapping[str, Text], *, coded: bool = True) -> list[tuple[str, str]]:
    """The lines of a list to choose from, in the reader's language, each with its code in front."""
    return [
        (code, f"{code} {text(language())}" if coded else text(language())) for code, text in known.items()
    ]


class SignForm(Form):
    """The signer's name and consent, bound to the document that was shown."""

    pdf_sha256 = HiddenField()
    language = HiddenField()
    name = StringField(_("签署人姓名"), description=_("填写您本人的姓名，将印在证明上。"))
    drawing = HiddenField()
    consent = BooleanField()

    def signature(self) -> Signature:
        """What was posted."""
        return Signature(
            pdf_sha256=self.pdf_sha256.data or "",
            name=self.name.data or "",
            consent=bool(self.consent.data),
            drawing=self.drawing.data or "",
            language="en" if self.language.data == "en" else "zh",
        )


class ReasonForm(Form):
    """A reason of 10 to 500 characters."""

    reason = TextAreaField(_("理由"), description=_("10 到 500 字，写入日志。"))


class CountersignForm(Form):
    """The digest of the document that was shown."""

    pdf_sha256 = HiddenField()


class PledgeForm(Form):
    """The box of the undertaking, for one agreement."""

    agreement = HiddenField()
    consent = BooleanField(_("本人已阅读并接受。"))


class DraftForm(Form):
    """The scope of a new agreement."""

    kind = SelectField(_("种类"), default="NDA")
    parent = SelectField(
        _("所补充的协议"), default="", description=_("仅补充协议填写。"), validators=[Optional()]
    )
    organisation = SelectField(_("对方单位"), validators=[_NEEDED])
    signer = SelectField(_("授权签署人"), validators=[_NEEDED])
    all_clients = BooleanField(_("经本系统共享的全部客户"))
    clients = SelectMultipleField(_("客户范围"), description=_("按客户编号；勾选全部客户时不必选。"))
    classes = Boxes(_("类别范围"))
    purposes = Boxes(_("用途范围"))
    purpose_note = StringField(_("其他用途说明"), description=_("选 P99 时必填，写入协议。"))
    relation = SelectField(_("合作关系"))
    valid_from = DateField(_("生效日"), validators=[_NEEDED])
    valid_to = DateField(_("到期日"), validators=[_NEEDED], description=_("含当日。"))
    contact_list = TextAreaField(_("知悉名单"), description=_("不填则为该单位全部联系人。"))
    incident_contact = StringField(_("事件通知联系人"), description=_("部门和电话，写入协议。"))
    liability = TextAreaField(_("违约责任条款"))
    forum = StringField(_("争议解决机构"))
    method = StringField(_("处理方式"), description=_("委托处理记录；不填则用通行写法，下同。"))
    safeguards = TextAreaField(_("保护措施"))
    disposal = StringField(_("返还或删除"))

    def offer(self, given: DraftChoices) -> "DraftForm":
        """Fills the lists."""
        self.organisation.choices = [("", _("请选择")), *((o.id, o.name) for o in given.organisations)]
        self.signer.choices = [
            ("", _("请选择")),
            *((s.id, f"{s.name}（{s.organisation}）") for s in given.signers),
        ]
        self.kind.choices = [(kind, KINDS[kind](language())) for kind in SIGNED_KINDS]
        self.parent.choices = [("", "–"), *((p.id, p.name) for p in given.parents)]
        self.clients.choices = [(c.id, c.name) for c in given.clients]
        self.classes.choices = options(CLASS_TEXT)
        self.purposes.choices = options(PURPOSES)
        self.relation.choices = options(RELATION_TEXT, coded=False)
        return self

    def scope(self, contacts: Mapping[str, str]) -> Scope:
        """What was chosen; `contacts` are the names that stand in for an empty list, by organisation."""
        return Scope(
            organisation=self.organisation.data,
            signer=self.signer.data,
            clients=None if self.all_clients.data else tuple(self.clients.data or ()),
            classes=tuple(self.classes.data or ()),
            purposes=tuple(self.purposes.data or ()),
            relation=self.relation.data,
            valid_from=self.valid_from.data,
            valid_to=self.valid_to.data,
            contact_list=(self.contact_list.data or "").strip() or contacts.get(self.organisation.data, ""),
            incident_contact=self.incident_contact.data or "",
            liability=self.liability.data or "",
            forum=self.forum.data or "",
            purpose_note=self.purpose_note.data or "",
            kind=self.kind.data or "NDA",
            parent=self.parent.data or "",
            **self._record(),
        )

    def _record(self) -> dict[str, str]:
        typed = {
            "method": self.method.data,
            "safeguards": self.safeguards.data,
            "disposal": self.disposal.data,
        }
        return {name: text for name, text in typed.items() if text and text.strip()}


class PaperForm(DraftForm):
    """An agreement signed on paper: its scope, its scan, when it was signed, where the original is."""

    template = SelectField(_("印制所用模板"), validators=[Optional()])
    signed_on = DateField(_("签署日期"), validators=[_NEEDED])
    location = StringField(_("原件存放位置"), validators=[_NEEDED], description=_("库房、柜号、盒号。"))
    scan = FileField(
        _("扫描件"), description=_("PDF，不超过 12 MiB。"), render_kw={"accept": "application/pdf"}
    )

    def offer(self, given: DraftChoices) -> "PaperForm":
        """Fills the lists."""
        super().offer(given)
        self.template.choices = [
            *((t.id, t.name) for t in given.printed),
            ("", _("对方或另行拟定的文本")),
        ]
        return self

    def paper(self, contacts: Mapping[str, str]) -> Scan:
        """What was typed, with the scan's bytes."""
        file = self.scan.data
        return Scan(
            scope=self.scope(contacts),
            template=self.template.data or "",
            signed_on=self.signed_on.data,
            location=self.location.data or "",
            data=file.read() if isinstance(file, FileStorage) else b"",
        )


class PointsForm(Form):
    """The points of one check of a paper."""

    points = Boxes(_("核对"))

    def about(self, stage: int) -> "PointsForm":
        """Offers the points of a stage."""
        self.points.choices = options(PAPER_CHECKS[stage], coded=False)
        return self


class TemplateForm(Form):
    """A new version of the text in both languages."""

    kind = SelectField(_("种类"), default="NDA")
    version = StringField(_("版本号"), validators=[_NEEDED])
    zh = TextAreaField(_("中文文本"), validators=[_NEEDED], render_kw={"rows": 18})
    en = TextAreaField(_("英文文本"), validators=[_NEEDED], render_kw={"rows": 14})
    resign = BooleanField(
        _("启用后须重新签署"), description=_("已生效的同类协议暂停放行，直到签署新文本；旧签署原样保留。")
    )

    def offer(self) -> "TemplateForm":
        """Fills the list of kinds."""
        self.kind.choices = [(kind, text(language())) for kind, text in KINDS.items()]
        return self
