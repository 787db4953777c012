"""The HTTP API: API keys, refresh tokens, limits, cached answers, audit events."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
RUNNING = sa.text("ended_at IS NULL")
WITH_CONTEXT = sa.text("context_hash IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "user_id", sa.Uuid, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("key_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id", "id"])

    op.create_table(
        "audit_events",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Uuid, nullable=True),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
    )
    op.create_index("ix_audit_events_at", "audit_events", ["at", "id"])

    op.add_column("users", sa.Column("rate_limit", sa.Text, nullable=True))
    op.add_column("users", sa.Column("counted_until", MOMENT, nullable=True))

    op.add_column("sessions", sa.Column("refresh_id", sa.Uuid, nullable=True))
    op.add_column("sessions", sa.Column("channel", sa.Text, nullable=False, server_default="web"))

    op.add_column("messages", sa.Column("body_hash", sa.LargeBinary(32), nullable=True))
    op.add_column("messages", sa.Column("context_hash", sa.LargeBinary(32), nullable=True))
    op.add_column("messages", sa.Column("made_at", MOMENT, nullable=True))
    op.create_index(
        "ix_messages_context",
        "messages",
        ["context_hash"],
        postgresql_where=WITH_CONTEXT,
        sqlite_where=WITH_CONTEXT,
    )

    # of runs that ended before they stay empty: only running ones are asked for
    for column in ("dialog_id", "user_id"):
        op.add_column("generations", sa.Column(column, sa.Uuid, nullable=True))
    op.create_index(
        "ix_generations_user",
        "generations",
        ["user_id"],
        postgresql_where=RUNNING,
        sqlite_where=RUNNING,
    )


def downgrade() -> None:
    op.drop_index("ix_generations_user", "generations")
    op.drop_index("ix_messages_context", "messages")
    for table, columns in (
        ("generations", ("dialog_id", "user_id")),
        ("messages", ("body_hash", "context_hash", "made_at")),
        ("sessions", ("channel", "refresh_id")),
        ("users", ("counted_until", "rate_limit")),
    ):
        with op.batch_alter_table(table) as altered:
            for column in columns:
                altered.drop_column(column)
    op.drop_table("audit_events")
    op.drop_table("api_keys")
