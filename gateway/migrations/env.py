"""How revisions run: against the URL handed over by `sealgate init`, over the metadata of every room."""

from typing import Literal

from alembic import context
from sqlalchemy import create_engine

from gateway.bootstrap import everything
from gateway.db import UTCDateTime

config = context.config


def render(kind: str, item: object, _: object) -> str | Literal[False]:
    """Writes our own column types in SQLAlchemy's words, so that a revision never depends on today's code."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UTCDateTime) else False


def run() -> None:
    """Runs the revisions in one transaction where the database allows it."""
    engine = create_engine(config.attributes["url"])
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=everything(),
            render_item=render,
            render_as_batch=connection.dialect.name == "sqlite",
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
