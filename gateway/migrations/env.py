"""How revisions run: against the URL handed over by `sealgate init`, over the metadata of every room."""

from alembic import context
from sqlalchemy import create_engine

from gateway.bootstrap import everything

config = context.config


def run() -> None:
    """Runs the revisions in one transaction where the database allows it."""
    engine = create_engine(config.attributes["url"])
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=everything(),
            render_as_batch=connection.dialect.name == "sqlite",
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
