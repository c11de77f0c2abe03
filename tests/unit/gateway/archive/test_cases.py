"""The life of a case: from intake to its file number, and who may do which step."""

import threading

import pytest

from gateway.archive import service
from gateway.archive.models import Case, Item, ItemVersion
from gateway.errors import Invalid, NotAllowed, NotFound, StaleFactor, WrongState
from sqlalchemy import select


def test_a_case_is_filed_by_two_archivists_and_gets_its_number(house, pdf):
    case, item = house.reviewed(house.client(), pdf)
    number = service.file_case(house.deps, case, actor=house.actor("arc2"), now=house.now)
    assert number == "SG01-KH·2026·SJ-0001"
    with house.deps.database.read() as session:
        row = session.get(Case, case)
        version = session.scalars(select(ItemVersion).where(ItemVersion.item_id == item)).one()
        assert (row.state, row.number, row.reviewed_by) == ("FILED", number, house.people["arc2"][0])
        assert row.temp_no == "LS-20261123-001"
        assert (version.state, version.kind, version.pages, version.markable) == ("READY", "pdf", 2, True)
        assert session.get(Item, item).version == 1
    assert [e["data"]["number"] for e in house.entries("case.file")] == [number]
