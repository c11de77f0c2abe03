"""Who acts, and words in both languages: the values that every layer above the cellar speaks of."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal


@dataclass(frozen=True)
class Text:
    """One sentence or label for people, in Chinese and English."""

    zh: str
    en: str

    def __call__(self, language: str) -> str:
        """The words for a language tag; anything that is not English is given Chinese."""
        return self.en if language.lower().startswith("en") else self.zh

    def format(self, **values: object) -> "Text":
        """Both sentences with `{name}` places filled."""
        return Text(self.zh.format(**values), self.en.format(**values))


class Role(StrEnum):
    """Roles of policy.md §1."""

    GM = "GM"
    DGM = "DGM"
    ADM = "ADM"
    HOD = "HOD"
    BIZ = "BIZ"
    ARC = "ARC"
    AUD = "AUD"
    SYS = "SYS"
    PTN = "PTN"


ROLE_TEXT: dict[Role, Text] = {
    Role.GM: Text("总经理", "General manager"),
    Role.DGM: Text("副总经理", "Deputy general manager"),
    Role.ADM: Text("行政部门", "Administration"),
    Role.HOD: Text("业务部门负责人", "Head of department"),
    Role.BIZ: Text("业务人员", "Business staff"),
    Role.ARC: Text("档案管理员", "Archivist"),
    Role.AUD: Text("审计员", "Auditor"),
    Role.SYS: Text("系统管理员", "System administrator"),
    Role.PTN: Text("合作单位联系人", "Partner contact"),
}

PrincipalKind = Literal["staff", "contact", "system", "stranger"]


@dataclass(frozen=True)
class Actor:
    """Whoever asks for something: resolved once at the door, handed to services as a value.

    `mfa_at` is the time of the last accepted second factor in this session (None: password only);
    `ip` and `agent` are as seen by the trusted front; `department` is a department id.
    """

    kind: PrincipalKind
    id: str
    name: str = ""
    roles: frozenset[Role] = frozenset()
    department: str | None = None
    organisation: str | None = None
    session: str | None = None
    mfa_at: datetime | None = None
    ip: str = ""
    agent: str = ""
    language: str = "zh-CN"
    timezone: str = "Asia/Shanghai"
    extra: dict[str, str] = field(default_factory=dict, compare=False)

    def has(self, *roles: Role) -> bool:
        """Whether the actor holds at least one of the roles."""
        return not self.roles.isdisjoint(roles)

    @property
    def label(self) -> str:
        """`kind:id`, the form under which log entries commit to a person."""
        return f"{self.kind}:{self.id}"


SYSTEM = Actor(kind="system", id="system", name="系统")
