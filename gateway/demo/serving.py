"""`sealgate serve --demo`: a portal filled with the demo company, left up to look around in."""

import tempfile
from pathlib import Path

import click

from gateway import bootstrap
from gateway.demo.company import add_partner, load_company
from gateway.demo.run import demo_home
from gateway.serving import running, until_ended


def serve_demo(host: str, port: int) -> None:
    """Serves a fresh demo portal until interrupted, and prints its accounts with their authenticators' seeds."""
    with (
        tempfile.TemporaryDirectory(prefix="sealgate-demo-") as folder,
        demo_home(Path(folder), "local", port=port) as settings,
    ):
        bootstrap.make_keys(settings)
        bootstrap.upgrade(settings)
        deps = bootstrap.build(settings)
        company = load_company(deps, now=deps.clock())
        for partner in ("supplier", "studio"):
            add_partner(deps, company, partner, now=deps.clock())
        with running(deps, host, port):
            click.echo(f"{settings.public_origin}  演示数据，停止后全部删除")
            for name, person in company.people.items():
                click.echo(f"  {name:10} {person.email:24} {person.password}  TOTP {person.secret}")
            until_ended()
