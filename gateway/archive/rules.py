"""Pure decisions of the archive: file numbers, who may see what, and the table of a case's life (policy.md §1, §2.5, §3.2)."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from gateway.archive.vocabulary import ALL_CLASSES, FIELD_CLASSES
from gateway.errors import Invalid, NotAllowed, Refused, WrongState
from gateway.notify.service import Recipient
from gateway.principal import Actor, Role, Text
from gateway.workflow import Move, Process, State, Step

# ── File numbers (policy.md §2.5) ────────────────────────────────────────────────────────────────────────────────────

FILE_NUMBER = re.compile(
    r"(?P<fonds>[A-Z][A-Z0-9]{1,5})-(?P<category>[A-Z]{2})·(?P<year>20\d{2})·(?P<department>[A-Z]{2})-(?P<volume>\d{4,5})"
    r"(-(?P<item>\d{3,4})(_F(?P<copy>\d{4,6}))?)?",
    re.ASCII,
)
_DOTS = str.maketrans(dict.fromkeys("•．.・‧∙⋅。｡", "·"))


@dataclass(frozen=True)
class FileNumber:
    """A 档号 taken apart: of a case, of an item in it, or of one numbered copy of that item."""

    fonds: str
    category: str
    year: int
    department: str
    volume: int
    item: int | None = None
    copy: int | None = None

    @property
    def series(self) -> str:
        """The series in which volumes are counted, e.g. `SG01-KH·2026·SJ`."""
        return f"{self.fonds}-{self.category}·{self.year}·{self.department}"

    def __str__(self) -> str:
        text = f"{self.series}-{self.volume:04}"
        if self.item is not None:
            text += f"-{self.item:03}"
        return text if self.copy is None else f"{text}_F{self.copy:04}"


def parse_number(text: str) -> FileNumber:
    """The number that `text` spells exactly; raises Invalid."""
    found = FILE_NUMBER.fullmatch(text)
    if found is None:
        raise Invalid("number", Text("档号的写法不对，例如 SG01-KH·2026·SJ-0007。", "Not a file number."))
    part = found.groupdict()
    item, copy = (int(part[n]) if part[n] is not None else None for n in ("item", "copy"))
    year, volume = int(part["year"]), int(part["volume"])
    return FileNumber(part["fonds"], part["category"], year, part["department"], volume, item, copy)


def fold(text: str) -> str:
    """A typed number in the form numbers are stored in: width and case folded, every middle dot one `·`, no blanks."""
    folded = unicodedata.normalize("NFKC", text.translate(_DOTS)).translate(_DOTS)
    folded = re.sub(r"[‐‑‒–—―−]", "-", folded)
    return "".join(folded.split()).upper()


def file_name_form(number: str) -> str:
    """The number as part of a file name: `·` becomes `.`."""
    return number.replace("·", ".")


def item_number(case_number: str, item: int) -> str:
    """The 件号 in full, e.g. `SG01-KH·2026·SJ-0007-003`."""
    return f"{case_number}-{item:03}"


def copy_number(case_number: str, item: int, copy: int) -> str:
    """The 副本号, e.g. `SG01-KH·2026·SJ-0007-003_F0012`."""
    return f"{item_number(case_number, item)}_F{copy:04}"


def temporary_number(day: date, count: int) -> str:
    """The number before filing, e.g. `LS-20261123-001`."""
    return f"LS-{day:%Y%m%d}-{count:03}"


# ── Levels and classes (policy.md §2.1, §2.2) ────────────────────────────────────────────────────────────────────────


def known_classes(classes: Iterable[str]) -> list[str]:
    """The field classes in order, each once; raises Invalid for none or an unknown one."""
    chosen = sorted(set(classes))
    if not chosen or not ALL_CLASSES.issuperset(chosen):
        raise Invalid("classes", Text("请选择至少一个信息类别。", "Choose at least one field class."))
    return chosen


def level_of(classes: Iterable[str]) -> int:
    """The highest level among the classes; 1 when there is none."""
    return max((FIELD_CLASSES[c].level for c in classes), default=1)


def raised_level(classes: Iterable[str], wanted: int | None) -> int:
    """The item's level: that of its highest class, or a higher one if wanted; raises Invalid for a lower or unknown one."""
    least = level_of(classes)
    if wanted is None:
        return least
    if wanted not in (1, 2, 3) or wanted < least:
        raise Invalid(
            "level",
            Text("密级只能高于所含类别的级别，不能更低。", "The level may only be raised above its classes."),
        )
    return wanted


# ── Who may see what (policy.md §1) ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Relation:
    """How an actor stands to a client, case or item. `granted` holds the classes of live need-to-know grants."""

    own_department: bool = False
    own_client: bool = False
    handed_over: bool = True
    granted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scope:
    """What an actor may know of something; the empty scope is nothing at all.

    `listed`: its existence, number, state and masked title. `titles`: titles unmasked. `content`: field classes whose files may
    be read; an item is readable when all its classes are in it. `reveal`: field classes that may be decrypted, each time logged.
    `write`: may add to it before hand-over.
    """

    listed: bool = False
    titles: bool = False
    content: frozenset[str] = field(default_factory=frozenset)
    reveal: frozenset[str] = field(default_factory=frozenset)
    write: bool = False

    def __bool__(self) -> bool:
        return self.listed or bool(self.content)

    def reads(self, classes: Iterable[str]) -> bool:
        """Whether a file of these classes may be read."""
        wanted = frozenset(classes)
        return bool(wanted) and wanted <= self.content

    def __or__(self, other: "Scope") -> "Scope":
        return Scope(
            self.listed or other.listed,
            self.titles or other.titles,
            self.content | other.content,
            self.reveal | other.reveal,
            self.write or other.write,
        )


NOTHING = Scope()
_CATALOGUE_ONLY = frozenset({Role.GM, Role.DGM, Role.ADM, Role.AUD})
_GRANTEES = frozenset({Role.DGM, Role.BIZ})


def scope(actor: Actor, relation: Relation) -> Scope:
    """The rows 目录检索, 内容查阅 and 解密敏感字段 of policy.md §1, for the sum of the actor's roles; default deny."""
    if actor.kind != "staff" or actor.has(Role.SYS):
        return NOTHING
    total = NOTHING
    for role in actor.roles:
        total |= _role_scope(role, relation)
    if relation.granted and actor.has(*_GRANTEES):
        total |= _granted_scope(actor, relation)
    return total


def _role_scope(role: Role, relation: Relation) -> Scope:
    if role is Role.ARC:
        return Scope(listed=True, titles=True, content=ALL_CLASSES, reveal=ALL_CLASSES, write=True)
    if role is Role.HOD and relation.own_department:
        return Scope(
            listed=True, titles=True, content=ALL_CLASSES, reveal=ALL_CLASSES, write=not relation.handed_over
        )
    if role is Role.BIZ and relation.own_client:
        open_content = frozenset() if relation.handed_over else ALL_CLASSES
        return Scope(
            listed=True, titles=not relation.handed_over, content=open_content, write=not relation.handed_over
        )
    return Scope(listed=True) if role in _CATALOGUE_ONLY else NOTHING


def _granted_scope(actor: Actor, relation: Relation) -> Scope:
    # Reveals by grant are the business staff's row (G); a deputy general manager's grant opens files only.
    reveal = relation.granted if actor.has(Role.BIZ) else frozenset()
    return Scope(listed=True, titles=True, content=relation.granted, reveal=reveal)


# ── The life of a case (policy.md §3.2) ──────────────────────────────────────────────────────────────────────────────

SOD_1 = Text("申请人不能审批自己的事项。", "Nobody approves their own request.")
SOD_2 = Text("同一案卷的每个环节须由不同的人办理。", "Each stage of a case needs a different person.")
INCOMPLETE = Text("编目尚未完整：{what}", "The catalogue entry is not complete: {what}")


def _claimable(step: Step) -> Refused | None:
    if step.row.catalogued_by not in (None, step.actor.id):
        return WrongState(
            "CLAIMED", Text("已由另一位档案管理员编目。", "Another archivist is cataloguing it.")
        )
    return None


def _claimed_by_actor(step: Step) -> Refused | None:
    if step.row.catalogued_by != step.actor.id:
        return NotAllowed("NOT_CLAIMED", Text("请先接收编目，再提交复核。", "Claim the cataloguing first."))
    return None


def _complete(step: Step) -> Refused | None:
    gaps: tuple[Text, ...] = step.extras["gaps"]
    if not gaps:
        return None
    zh, en = "、".join(g.zh for g in gaps), ", ".join(g.en for g in gaps)
    return WrongState("INCOMPLETE", Text(INCOMPLETE.zh.format(what=zh), INCOMPLETE.en.format(what=en)))


def _second_person(step: Step) -> Refused | None:
    if step.actor.id in (step.row.catalogued_by, step.row.created_by):
        return NotAllowed("SOD-2", SOD_2)
    return None


def _never_filed_or_second(step: Step) -> Refused | None:
    # Voiding what was once filed takes the second person who would otherwise have confirmed it.
    if step.row.state == "CATALOGUING" and step.row.number is not None:
        return WrongState()
    return _second_person(step) if step.row.state == "REVIEW" else None


def _tell_reviewers(step: Step) -> list[tuple[str, list[Recipient], dict[str, str]]]:
    to = [Recipient("role", Role.ARC.value), Recipient("role", Role.ADM.value)]
    return [("case.review", to, {"no": step.row.number or step.row.temp_no})]


@dataclass(frozen=True)
class _Decided:
    result: str

    def __call__(self, step: Step) -> list[tuple[str, list[Recipient], dict[str, str]]]:
        to = [Recipient("account", a) for a in (step.row.catalogued_by, step.row.created_by) if a]
        return [("case.decided", to, {"no": step.row.number or step.row.temp_no, "result": self.result})]


_ARC = frozenset({Role.ARC})
_REVIEWERS = frozenset({Role.ARC, Role.ADM})
_CREATORS = frozenset({Role.BIZ, Role.HOD, Role.ARC})

CASE = Process(
    "case",
    {
        "CATALOGUING": State(Text("编目中", "Cataloguing"), "wait"),
        "REVIEW": State(Text("待复核", "In review"), "wait"),
        "FILED": State(Text("已归档", "Filed"), "ok"),
        "AMENDING": State(Text("更正中", "Being amended"), "wait"),
        "VOID": State(Text("已作废", "Void"), "", final=True),
    },
    (
        Move(
            ("",), "create", "CATALOGUING", Text("新建案卷", "New case"), who=_CREATORS, records=("temp_no",)
        ),
        Move(
            ("CATALOGUING",),
            "claim",
            "CATALOGUING",
            Text("接收编目", "Claim"),
            who=_ARC,
            guards=(_claimable,),
        ),
        Move(
            ("CATALOGUING", "AMENDING"),
            "submit",
            "REVIEW",
            Text("提交复核", "Send for review"),
            who=_ARC,
            guards=(_claimed_by_actor, _complete),
            tells=(_tell_reviewers,),
        ),
        Move(
            ("REVIEW",),
            "file",
            "FILED",
            Text("确认归档", "Confirm filing"),
            who=_REVIEWERS,
            guards=(_second_person, _complete),
            fresh=True,
            records=("number", "items"),
            tells=(_Decided("归档 filed"),),
            act=True,
        ),
        Move(
            ("REVIEW",),
            "return",
            "CATALOGUING",
            Text("退回编目", "Send back"),
            who=_REVIEWERS,
            guards=(_second_person,),
            reason=True,
            tells=(_Decided("退回 sent back"),),
        ),
        Move(("FILED",), "amend", "AMENDING", Text("更正", "Amend"), who=_ARC, reason=True),
        Move(
            ("CATALOGUING", "REVIEW"),
            "void",
            "VOID",
            Text("作废", "Void"),
            who=_ARC,
            guards=(_never_filed_or_second,),
            reason=True,
            act=True,
        ),
    ),
)

# The states in which items may be added and files uploaded.
EDITABLE = frozenset({"CATALOGUING", "AMENDING"})
