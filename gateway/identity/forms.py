"""Forms of identity. They say what a field is called; what it may hold is decided by the services."""

from collections.abc import Iterable
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import (
    BooleanField,
    DateField,
    EmailField,
    HiddenField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, Optional

from gateway.identity import rules
from gateway.web.kit import Form, language

NEEDED = InputRequired(_("请填写。"))
CODE = {"inputmode": "numeric", "autocomplete": "one-time-code", "class": "sg-code"}
NEW_PASSWORD = {"autocomplete": "new-password"}


def options(pairs: Iterable[tuple[str, str]]) -> list[SelectChoice]:
    """Choices from (value, words)."""
    return [SelectChoice(value, words) for value, words in pairs]


def _bounded(most: int) -> Length:
    return Length(max=most, message=_("内容太长。"))


class SignInForm(Form):
    """First step."""

    email = EmailField(_("邮箱"), [NEEDED], render_kw={"autocomplete": "username", "maxlength": 254})
    password = PasswordField(
        _("密码"), [NEEDED, _bounded(1000)], render_kw={"autocomplete": "current-password"}
    )


class CodeForm(Form):
    """The one-time code of the second step, or of a factor made fresh."""

    otp = StringField(
        _("6 位动态口令"),
        [NEEDED, _bounded(16)],
        description=_(
            "打开验证器应用，输入当前显示的数字，每 30 秒更换一次。总是不对时，请把手机时间设为自动。"
        ),
        render_kw={**CODE, "maxlength": 16},
    )


class RecoveryForm(Form):
    """A recovery code instead."""

    recovery = StringField(
        _("恢复码"),
        [NEEDED, _bounded(40)],
        description=_("登记时显示的 10 个恢复码之一，每个只能用一次。"),
        render_kw={"autocomplete": "off", "class": "font-monospace", "maxlength": 40},
    )


class BeginForm(Form):
    """Nothing but the token against forged requests: the button that begins an enrolment."""


class AuthenticatorForm(Form):
    """The code that proves that the authenticator holds the seed."""

    pending = HiddenField(validators=[NEEDED, _bounded(400)])
    code = StringField(
        _("验证器显示的 6 位数字"), [NEEDED, _bounded(16)], render_kw={**CODE, "maxlength": 16}
    )


class EnrolForm(AuthenticatorForm):
    """Password and authenticator at enrolment."""

    password = PasswordField(
        _("设置密码"),
        [NEEDED, _bounded(1000)],
        description=_("至少 12 个字符，不含姓名和邮箱；长短语最好记。"),
        render_kw=NEW_PASSWORD,
    )
    password_again = PasswordField(_("再输入一次"), [NEEDED, _bounded(1000)], render_kw=NEW_PASSWORD)

    def validate_password_again(self, field: Any) -> None:
        """Both spellings are the same."""
        _same(self.password.data, field)


class PasswordForm(Form):
    """One's own password."""

    current_password = PasswordField(
        _("当前密码"), [NEEDED, _bounded(1000)], render_kw={"autocomplete": "current-password"}
    )
    password = PasswordField(
        _("新密码"),
        [NEEDED, _bounded(1000)],
        description=_("至少 12 个字符，不含姓名和邮箱；长短语最好记。"),
        render_kw=NEW_PASSWORD,
    )
    password_again = PasswordField(_("再输入一次"), [NEEDED, _bounded(1000)], render_kw=NEW_PASSWORD)

    def validate_password_again(self, field: Any) -> None:
        """Both spellings are the same."""
        _same(self.password.data, field)


def _same(password: str | None, field: Any) -> None:
    if field.data != password:
        field.errors = [*field.errors, str(_("两次输入不一致。"))]


class AgeKeyForm(Form):
    """A contact's public key."""

    key = StringField(
        _("age 公钥"),
        [NEEDED, _bounded(200)],
        description=_("以 age1 开头。登记后，新副本用它加密，不再有口令；私钥丢失则副本打不开。"),
        render_kw={"autocomplete": "off", "spellcheck": "false", "class": "font-monospace"},
    )


class SettingsForm(Form):
    """Language and time zone."""

    language = SelectField(
        _("语言"), choices=[SelectChoice("zh-CN", "简体中文"), SelectChoice("en", "English")]
    )
    timezone = StringField(_("时区"), [NEEDED, _bounded(40)], description=_("例如 Asia/Shanghai。"))


class ReasonForm(Form):
    """R+: 10 to 500 characters why."""

    reason = TextAreaField(
        _("理由"),
        [NEEDED],
        description=_("10 到 500 字，记入日志。"),
        render_kw={"rows": 3, "maxlength": 500},
    )


class DeliverForm(Form):
    """How an invitation reaches its person."""

    deliver = RadioField(
        _("邀请方式"),
        choices=[
            SelectChoice("mail", _("发到邮箱")),
            SelectChoice("show", _("显示一次链接和二维码，由您转交")),
        ],
        default="mail",
    )

    @property
    def mail(self) -> bool:
        """Whether it is mailed."""
        return bool(self.deliver.data != "show")


class EmploymentForm(Form):
    """Department, employment type and end date."""

    department = SelectField(_("部门"), validators=[Optional()])
    employment = SelectField(_("用工类型"))
    ends_on = DateField(_("截止日期"), [Optional()], description=_("当天 24:00 停用。正式员工可不填。"))

    def offer(self, departments: list[tuple[str, str]]) -> None:
        """Fills the choices in the reader's language."""
        self.department.choices = options([("", "–"), *departments])
        self.employment.choices = options(
            (key, kind.text(language())) for key, kind in rules.EMPLOYMENT.items()
        )


class AccountForm(EmploymentForm, DeliverForm):
    """A new staff account."""

    email = EmailField(_("邮箱"), [NEEDED], render_kw={"maxlength": 254, "autocomplete": "off"})
    name = StringField(_("姓名"), [NEEDED, _bounded(60)])


class RoleForm(Form):
    """A role to propose."""

    role = SelectField(_("角色"))


class DepartmentForm(Form):
    """A new department."""

    code = StringField(
        _("代码"),
        [NEEDED, _bounded(2)],
        description=_("两个字母，进入档号，以后不能改。"),
        render_kw={"maxlength": 2},
    )
    name = StringField(_("名称"), [NEEDED, _bounded(60)])


class HeadForm(Form):
    """Name and head of a department."""

    name = StringField(_("名称"), [NEEDED, _bounded(60)])
    head = SelectField(_("第一责任人"), validators=[Optional()])


class OrganisationForm(Form):
    """A partner organisation to propose."""

    name = StringField(_("单位名称"), [NEEDED, _bounded(100)])
    uscc = StringField(
        _("统一社会信用代码"), [NEEDED, _bounded(18)], render_kw={"maxlength": 18, "class": "font-monospace"}
    )
    category = SelectField(_("类别"))

    def offer(self) -> None:
        """Fills the choices in the reader's language."""
        self.category.choices = options((key, text(language())) for key, text in rules.CATEGORIES.items())


class VerifyForm(Form):
    """What 行政部 verified an organisation by."""

    how = StringField(_("核验依据"), [NEEDED, _bounded(200)], description=_("看过什么，例如营业执照原件。"))
    abroad = RadioField(
        _("是否在境外接收资料"),
        choices=[SelectChoice("no", _("否")), SelectChoice("yes", _("是"))],
        validators=[NEEDED],
    )


class ContactForm(DeliverForm):
    """A contact to invite."""

    name = StringField(_("姓名"), [NEEDED, _bounded(60)])
    title = StringField(_("职务"), [Optional(), _bounded(60)])
    mobile = StringField(
        _("电话"),
        [NEEDED, _bounded(20)],
        description=_("您已知属于本人的号码；之后凭它核对回读码。"),
        render_kw={"inputmode": "tel"},
    )
    email = EmailField(_("邮箱"), [NEEDED], render_kw={"maxlength": 254, "autocomplete": "off"})
    signer = BooleanField(_("有权代表单位签署协议"))
    valid_to = DateField(_("有效至"), [Optional()], description=_("当天 24:00 停用。可不填。"))


class ConfirmForm(Form):
    """The read-back code and how the identity was checked."""

    code = StringField(
        _("对方在电话里报的 6 位核验码"),
        [NEEDED, _bounded(16)],
        render_kw={**CODE, "autocomplete": "off", "maxlength": 16},
    )
    identity_check = SelectField(_("身份核验方式"))

    def offer(self) -> None:
        """Fills the choices in the reader's language."""
        self.identity_check.choices = options(
            (key, text(language())) for key, text in rules.IDENTITY_CHECKS.items()
        )


class SignerForm(Form):
    """Whether a contact may sign."""

    signer = BooleanField(_("有权代表单位签署协议"))
