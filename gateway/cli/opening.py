"""The first day of an installation: keys, database, buckets, first accounts."""

import click

from gateway.cli.door import main
from gateway.config import Settings, load
from gateway.principal import Role

FIRST = (Role.SYS, Role.GM, Role.ADM)


@main.command()
@click.option("--sys", "sys_", nargs=2, metavar="EMAIL NAME", help="The first 系统管理员.")
@click.option("--gm", nargs=2, metavar="EMAIL NAME", help="The first 总经理.")
@click.option("--adm", nargs=2, metavar="EMAIL NAME", help="The first 行政部门 account.")
def init(sys_: tuple[str, str] | None, gm: tuple[str, str] | None, adm: tuple[str, str] | None) -> None:
    """Make keys, database and the first accounts.

    Safe to run again: no key is overwritten, and the three accounts are made on an empty portal only. Each is
    enrolled by a one-time code, which is printed.
    """
    from gateway import bootstrap

    people = _first_people(sys_, gm, adm)
    settings = load()
    for name in bootstrap.make_keys(settings):
        click.echo(f"made {name}")
    bootstrap.upgrade(settings)
    click.echo("database is at its newest revision")
    missing = bootstrap.prepare_storage(settings)
    if missing:
        raise click.ClickException("the object store lacks: " + "; ".join(missing))
    if people:
        _enrol(settings, people)


def _first_people(*given: tuple[str, str] | None) -> dict[Role, tuple[str, str]]:
    """All three or none; a usage error otherwise, before anything is made."""
    people = {role: person for role, person in zip(FIRST, given, strict=True) if person is not None}
    if people and set(people) != set(FIRST):
        raise click.UsageError("name all three of --sys, --gm and --adm")
    return people


def _enrol(settings: Settings, people: dict[Role, tuple[str, str]]) -> None:
    from gateway import bootstrap
    from gateway.identity.service import first_day

    deps = bootstrap.build(settings)
    try:
        codes = first_day(deps, people, now=deps.clock())
    finally:
        deps.database.close()
    for role, code in codes.items():
        click.echo(f"{role} {people[role][0]}: {settings.public_origin}/enrol/{code}")
    click.echo("each link works once, for 72 hours; hand it over in person")
