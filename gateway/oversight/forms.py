"""Forms of oversight: they only gather what was typed; the services judge it."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _
from wtforms import DateTimeLocalField, SelectField, StringField, TextAreaField

from gateway.oversight.parameter_words import PARAMETER_TEXT
from gateway.web.kit import Form, language


class ProposalForm(Form):
    """One parameter's new value, from when, and why."""

    key = SelectField(_("参数"))
    value = StringField(_("新值"), description=_("整数；多个天数用逗号分开，如 30,7,1；开关填 on 或 off。"))
    valid_from = DateTimeLocalField(_("生效时间"), description=_("不早于现在；从这一刻起按新值执行。"))
    reason = TextAreaField(_("理由"), description=_("10 到 500 字。"))

    def offer(self) -> "ProposalForm":
        """Fills the list of parameters."""
        self.key.choices = [(key, f"{text(language())}（{key}）") for key, text in PARAMETER_TEXT.items()]
        return self

    def starts(self, zone: str) -> datetime | None:
        """The moment from which the value holds; what was typed is in the reader's zone."""
        typed: datetime | None = self.valid_from.data
        return None if typed is None else typed.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


class ReasonForm(Form):
    """Why not; several stand on one page, each with controls of its own name."""

    reason = TextAreaField(_("理由"), description=_("10 到 500 字。"))

    def at(self, key: str) -> "ReasonForm":
        """The form with ids that no other on the page has."""
        self.reason.id = self.reason.label.field_id = f"reason-{key}"
        return self


class BareForm(Form):
    """Nothing but the token against forged requests."""
