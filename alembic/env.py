"""Runs the migrations: on a connection that genai_app/migrations.py lends, or, called from the
command line, on the database that the settings name."""

import sqlalchemy as sa
from alembic import context

from genai_app import migrations, models
from genai_app.settings.settings import load_settings

METADATA = models.SQLModel.metadata  # of models: importing them is what fills it


def _run(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=True,
        include_name=lambda name, *_: migrations.is_modelled(name),
    )
    with context.begin_transaction():
        context.run_migrations()


def _print_sql() -> None:
    """`alembic upgrade head --sql`: what an administrator reads before it is run by hand."""
    context.configure(
        dialect_name="sqlite" if load_settings().embedded else "postgresql",
        target_metadata=METADATA,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()


lent: sa.Connection | None = context.config.attributes.get("connection")
if context.is_offline_mode():
    _print_sql()
elif lent is not None:
    _run(lent)
else:
    with migrations.locked_connection(load_settings().sqlalchemy_url) as own:
        _run(own)
