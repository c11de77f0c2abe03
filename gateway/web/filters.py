"""How values are written: words in the reader's language, times in their zone, sizes in units people know."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.numbers import format_decimal
from flask import Flask
from flask_babel import get_locale, get_timezone
from markupsafe import Markup

from gateway.principal import Text
from gateway.web.i18n import gettext as _
from gateway.web.i18n import language
from gateway.web.visitor import now

UNITS = ("B", "KB", "MB", "GB")


def install(app: Flask) -> None:
    """Names the filters for templates: t, when, day, left, size; and asset() for files of the portal itself."""
    app.jinja_env.filters.update(t=words, when=when, day=day, left=left, size=size)
    digests: dict[str, str] = {}
    folder = Path(str(app.static_folder))

    def asset(name: str) -> str:
        if name not in digests:
            digests[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12]
        return f"/static/{name}?v={digests[name]}"

    app.jinja_env.globals["asset"] = asset


def words(text: Any) -> str:
    """A Text in the reader's language; anything else as it is."""
    return text(language()) if isinstance(text, Text) else str(text if text is not None else "")


def when(moment: datetime | None, seconds: bool = False) -> Markup | str:
    """`11-23 11:47` in the reader's zone, with the year when it is another one; machine-readable beside it."""
    if moment is None:
        return "–"
    local = moment.astimezone(get_timezone())
    year = "" if local.year == now().astimezone(get_timezone()).year else "%Y-"
    shown = local.strftime(f"{year}%m-%d %H:%M" + (":%S" if seconds else ""))
    return Markup('<time datetime="{}">{}</time>').format(
        moment.astimezone(UTC).isoformat(timespec="seconds"), shown
    )


def day(moment: Any) -> str:
    """`2026-11-23` in the reader's zone; plain dates as they are."""
    if moment is None:
        return "–"
    local = moment.astimezone(get_timezone()) if isinstance(moment, datetime) else moment
    return str(local.strftime("%Y-%m-%d"))


def left(moment: datetime | None) -> str:
    """The time that remains, in its two largest units: `2 天 6 小时`."""
    if moment is None:
        return "–"
    minutes = int((moment - now()).total_seconds() // 60)
    if minutes < 0:
        return _("已截止")
    days, hours = divmod(minutes // 60, 24)
    if days:
        return _("%(days)d 天 %(hours)d 小时", days=days, hours=hours)
    if hours:
        return _("%(hours)d 小时 %(minutes)d 分", hours=hours, minutes=minutes % 60)
    return _("%(minutes)d 分钟", minutes=minutes)


def size(count: int | None) -> str:
    """Bytes in units of 1024: `48.6 MB`."""
    value, unit = float(count or 0), 0
    while value >= 1024 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return (
        f"{format_decimal(value, format='#,##0.#' if unit else '#,##0', locale=get_locale())} {UNITS[unit]}"
    )
