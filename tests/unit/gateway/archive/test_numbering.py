"""Numbers in series: unique under parallel writers, without gaps after a rollback."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.archive import service
from gateway.archive.models import Item
from gateway.archive.numbering import next_client_number, next_in, next_temporary
from gateway.errors import NotFound, WrongState


def test_eight_parallel_filings_get_eight_numbers_in_a_row(house, pdf):
    client = house.client()
    cases = [house.reviewed(client, pdf)[0] for _ in range(8)]

    def file(case):
        return service.file_case(house.deps, case, actor=house.actor("arc2"), now=house.now)

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(file, cases))
    assert sorted(numbers) == [f"SG01-KH·2026·SJ-{n:04}" for n in range(1, 9)]


def test_eight_writers_begin_one_series_together(house):
    def take(_):
        with house.deps.database.write() as session:
            return next_in(session, "LS-20261123")

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(take, range(40))) == list(range(1, 41))


def test_a_number_of_a_rolled_back_transaction_is_given_to_the_next(house):
    def take_and_fail():
        with house.deps.database.write() as session:
            assert next_in(session, "X") == 1
            raise WrongState

    with pytest.raises(WrongState):
        take_and_fail()
    with house.deps.database.write() as session:
        assert next_in(session, "X") == 1


def test_days_are_those_of_the_company(house):
    with house.deps.database.write() as session:
        assert next_temporary(session, house.clock.forward(hours=16)) == "LS-20261124-001"
        assert next_client_number(session, house.now) == "KH2026-0001"


def test_copies_of_an_item_are_counted_and_never_twice(house, pdf):
    _, item = house.filed(house.client(), pdf)

    def take(_):
        with house.deps.database.write() as session:
            return service.next_copy_number(session, item)

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(take, range(12)))
    assert sorted(numbers) == [f"SG01-KH·2026·SJ-0001-001_F{n:04}" for n in range(1, 13)]
    with house.deps.database.read() as session:
        assert session.get(Item, item).copies == 12


def test_no_copy_before_filing_and_none_of_nothing(house):
    item = house.item(house.case(house.client()))
    with pytest.raises(WrongState), house.deps.database.write() as session:
        service.next_copy_number(session, item)
    with pytest.raises(NotFound), house.deps.database.write() as session:
        service.next_copy_number(session, "0" * 32)
