"""Numbers given out in series: unique, without gaps after a rollback, never reused (policy.md §2.5)."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gateway.archive.models import Case, Item, NumberSequence
from gateway.archive.rules import FileNumber, copy_number, temporary_number
from gateway.db import locked
from gateway.errors import NotFound, WrongState
from gateway.identity.models import Department

# Days and years in numbers are those of the company's own calendar.
COMPANY_ZONE = ZoneInfo("Asia/Shanghai")


def next_in(session: Session, series: str) -> int:
    """The next number of a series, from 1, given out when the running transaction commits; other writers of the series wait."""
    row = locked(session, NumberSequence, series)
    if row is None:
        _begin(session, series)
        row = locked(session, NumberSequence, series)
    assert row is not None
    row.last += 1
    session.flush()
    return row.last


def _begin(session: Session, series: str) -> None:
    # Two transactions may begin a series at once on PostgreSQL: the second finds the first one's row after it commits.
    try:
        with session.begin_nested():
            session.add(NumberSequence(series=series, last=0))
    except IntegrityError:
        return


def next_temporary(session: Session, now: datetime) -> str:
    """A number before filing: LS-YYYYMMDD-NNN, counted per day of the company's calendar."""
    day = now.astimezone(COMPANY_ZONE).date()
    return temporary_number(day, next_in(session, f"LS-{day:%Y%m%d}"))


def next_client_number(session: Session, now: datetime) -> str:
    """A client's number: KH and the year, then a count, e.g. `KH2026-0001`."""
    year = now.astimezone(COMPANY_ZONE).year
    return f"KH{year}-{next_in(session, f'KH{year}'):04}"


def next_file_number(session: Session, fonds: str, case: Case) -> str:
    """The 档号 of a case about to be filed; raises WrongState when its department has no code."""
    department = session.get(Department, case.department_id)
    if department is None:
        raise WrongState
    bare = FileNumber(fonds, case.category, case.year, department.code, 0)
    return str(FileNumber(fonds, case.category, case.year, department.code, next_in(session, bare.series)))


def next_copy_number(session: Session, item: Item | str) -> str:
    """The next 副本号 of an item, locked and never given twice; raises NotFound, or WrongState while its case has no 档号."""
    row = locked(session, Item, item if isinstance(item, str) else item.id)
    if row is None:
        raise NotFound
    case = session.get(Case, row.case_id)
    if case is None or case.number is None:
        raise WrongState
    row.copies += 1
    session.flush()
    return copy_number(case.number, row.number, row.copies)
