"""The loader of the demo company (policy.md §9): departments, staff with roles, clients with their bases, partners.

It refuses a database that holds anybody. Everything goes through the same jobs as in the portal; only here may values be stored
that fail validation, so that no demo number belongs to anyone.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from gateway.archive import service as archive
from gateway.config import Settings
from gateway.demo.errors import NotEmpty
from gateway.demo.people import Person, acting, enrol
from gateway.deps import Deps
from gateway.identity import service as identity
from gateway.identity.models import Account, RoleGrant
from gateway.identity.rules import local_day
from gateway.principal import Role
from gateway.signing import service as signing

COMPANY = "示例云阶装饰公司（虚构）"
USCC = "0" * 18
FONDS = "SG01"
DOMAIN = "demo.invalid"
DEPARTMENTS = {"GL": "管理层", "XZ": "行政部", "SJ": "设计部", "GC": "工程部", "DA": "档案室"}
FIRST = {Role.SYS: ("sys", "系统管理员"), Role.GM: ("gm", "总经理"), Role.ADM: ("adm", "行政专员")}
STAFF = (
    ("dgm", "副总经理", "XZ", (Role.DGM,)),
    ("hod.sj", "设计部负责人", "SJ", (Role.HOD,)),
    ("hod.gc", "工程部负责人", "GC", (Role.HOD,)),
    ("biz.sj", "设计部业务人员", "SJ", (Role.BIZ,)),
    ("biz.gc", "工程部业务人员", "GC", (Role.BIZ,)),
    ("arc1", "档案管理员一", "DA", (Role.ARC,)),
    ("arc2", "档案管理员二", "DA", (Role.ARC,)),
    ("aud", "审计员", "GL", (Role.AUD,)),
    ("intern.gc", "工程部实习生", "GC", (Role.BIZ,)),
)
HEADS = {"SJ": "hod.sj", "GC": "hod.gc"}
CLIENTS = (
    ("示例客户甲", "100-0000-0001", "000000190001010001", "BUILDING"),
    ("示例客户乙", "100-0000-0002", "000000190001010002", "INTENT"),
    ("示例客户丙", "100-0000-0003", "000000190001010003", "CLOSED"),
)
PARTNERS = (
    (
        "supplier",
        "示例建材供应商（虚构）",
        "SUPPLIER",
        (("s1", "供应商联系人一", True), ("s2", "供应商联系人二", False)),
    ),
    ("studio", "示例设计工作室（虚构）", "DESIGN", (("d1", "工作室联系人一", True),)),
)


@dataclass
class Company:
    """What was loaded: people by account name, ids of clients, departments and organisations."""

    people: dict[str, Person] = field(default_factory=dict)
    departments: dict[str, str] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)
    organisations: dict[str, str] = field(default_factory=dict)


def email(name: str) -> str:
    """The address of a demo account."""
    return f"{name}@{DOMAIN}"


def demo_settings(settings: Settings) -> Settings:
    """The same settings under the demo company's name, with the banner on every page."""
    names = {"company_name": COMPANY, "company_uscc": USCC, "fonds": FONDS, "demo": True}
    return settings.model_copy(update=names)


def load_company(deps: Deps, *, now: datetime) -> Company:
    """Loads departments, staff and clients, an active agreement template; raises NotEmpty when anybody is there."""
    with deps.database.read() as session:
        if session.scalar(select(Account.id).limit(1)) is not None:
            raise NotEmpty
    company = Company()
    tokens = identity.first_day(deps, {role: (email(a), name) for role, (a, name) in FIRST.items()}, now=now)
    for role, (account, _) in FIRST.items():
        company.people[account] = enrol(deps, tokens[role], email(account), now=now)
    _departments(deps, company, now)
    for account, name, department, roles in STAFF:
        _staff(deps, company, account, name, department, roles, now)
    _heads(deps, company, now)
    _clients(deps, company, now)
    signing.ensure_default(
        deps,
        adm=acting(deps, company.people["adm"], now=now),
        gm=acting(deps, company.people["gm"], now=now),
        now=now,
    )
    return company


def _departments(deps: Deps, company: Company, now: datetime) -> None:
    adm = acting(deps, company.people["adm"], now=now)
    for code, name in DEPARTMENTS.items():
        company.departments[code] = identity.add_department(deps, code=code, name=name, actor=adm, now=now)


def _staff(
    deps: Deps,
    company: Company,
    account: str,
    name: str,
    department: str,
    roles: tuple[Role, ...],
    now: datetime,
) -> None:
    adm, gm = (acting(deps, company.people[p], now=now) for p in ("adm", "gm"))
    intern = account.startswith("intern")
    made = identity.enrol_account(
        deps,
        email=email(account),
        name=name,
        department=company.departments[department],
        employment="INTERN" if intern else "REGULAR",
        ends_on=local_day(now) + timedelta(days=10) if intern else None,
        actor=adm,
        now=now,
        mail=False,
    )
    company.people[account] = enrol(deps, made.token, email(account), now=now)
    for role in roles:
        grant = identity.propose_role(deps, made.id, role, actor=adm, now=now)
        with deps.database.read() as session:
            proposed = session.get_one(RoleGrant, grant).state == "PROPOSED"
        if proposed:
            identity.confirm_role(deps, grant, actor=gm, now=now)


def _heads(deps: Deps, company: Company, now: datetime) -> None:
    adm = acting(deps, company.people["adm"], now=now)
    for code, account in HEADS.items():
        identity.change_department(
            deps,
            company.departments[code],
            name=DEPARTMENTS[code],
            head=company.people[account].id,
            actor=adm,
            now=now,
        )


def _clients(deps: Deps, company: Company, now: datetime) -> None:
    biz = acting(deps, company.people["biz.sj"], now=now)
    for name, phone, number, status in CLIENTS:
        entry = archive.ClientEntry(
            name=name, phone=phone, id_type="RESIDENT", id_no=number, address="示例市示例区示例小区 1 号", status=status,
            reason="演示数据，证件号码校验位有意不符",
        )  # fmt: skip
        saved = archive.create_client(deps, entry, actor=biz, now=now)
        company.clients[name] = saved.id
        if name != "示例客户乙":
            classes = [f"F{n:02d}" for n in range(1, 13)]
            archive.add_basis(deps, saved.id, classes, "B2", archive.ANY_PURPOSE, actor=biz, now=now)


def add_partner(deps: Deps, company: Company, key: str, *, now: datetime) -> None:
    """One of the demo partners: verified organisation, contacts enrolled and confirmed over the second channel."""
    _, name, category, contacts = next(p for p in PARTNERS if p[0] == key)
    adm = acting(deps, company.people["adm"], now=now)
    made = identity.propose_organisation(
        deps, name=name, uscc=USCC, category=category, actor=adm, now=now, demo=True
    )
    identity.verify_organisation(deps, made, how="演示：营业执照原件已核对", abroad=False, actor=adm, now=now)
    company.organisations[key] = made
    for account, contact, signer in contacts:
        invited = identity.invite_contact(
            deps,
            made,
            name=contact,
            email=email(account),
            title="业务经理",
            mobile="100-0000-0101",
            signer=signer,
            actor=adm,
            now=now,
            mail=False,
        )
        person = enrol(deps, invited.token, email(account), now=now)
        identity.confirm_contact(
            deps, person.id, person.readback or "", identity_check="IN_PERSON", actor=adm, now=now
        )
        company.people[account] = person
