"""Messengers: links, codes, chats, pollers, updates, and answers that are being shown."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def _user(*, nullable: bool = False) -> sa.Column[sa.Uuid]:
    key = sa.ForeignKey("users.id", ondelete="CASCADE")
    return sa.Column("user_id", sa.Uuid, key, nullable=nullable)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _only(condition: str) -> dict[str, sa.TextClause]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "messenger_links",
        sa.Column("id", sa.Uuid, primary_key=True),
        _user(),
        *(_text(name) for name in ("messenger", "external_id", "title")),
        sa.Column("linked_at", MOMENT, nullable=False),
        sa.Column("unlinked_at", MOMENT, nullable=True),
        _text("end_reason"),
        sa.Column("refused_at", MOMENT, nullable=True),
    )
    op.create_index(
        *("uq_messenger_links_account", "messenger_links", ["messenger", "external_id"]),
        unique=True,
        **_only("unlinked_at IS NULL"),
    )
    op.create_index("ix_messenger_links_user", "messenger_links", ["user_id", "id"])
    op.create_table(
        "messenger_codes",
        sa.Column("code_hash", sa.LargeBinary(32), primary_key=True),
        _user(),
        _text("messenger"),
        *(sa.Column(name, MOMENT, nullable=False) for name in ("created_at", "expires_at")),
    )
    op.create_index("ix_messenger_codes_user", "messenger_codes", ["user_id"])
    op.create_table(
        "messenger_chats",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("messenger", "chat_id")),
        _user(nullable=True),
        sa.Column("dialog_id", sa.Uuid, nullable=True),
        _text("locale"),
        sa.Column("wrong_codes", sa.Integer, nullable=False),
        sa.Column("wrong_codes_at", MOMENT, nullable=True),
    )
    op.create_index("ix_messenger_chats_user", "messenger_chats", ["user_id"])
    _create_tables_of_pollers()


def _create_tables_of_pollers() -> None:
    op.create_table(
        "messenger_pollers",
        sa.Column("messenger", sa.Text, primary_key=True),
        _text("owner"),
        sa.Column("lease_until", MOMENT, nullable=True),
        _text("position"),
    )
    op.create_table(
        "messenger_updates",
        sa.Column("id", sa.Uuid, primary_key=True),
        *(_text(name) for name in ("messenger", "external_id", "chat_id")),
        _user(nullable=True),
        _text("body"),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.UniqueConstraint("messenger", "external_id", name="uq_messenger_updates_external"),
    )
    op.create_index(
        *("ix_messenger_updates_waiting", "messenger_updates", ["messenger", "id"]),
        **_only("done_at IS NULL"),
    )
    op.create_table(
        "messenger_answers",
        sa.Column(
            "message_id",
            sa.Uuid,
            sa.ForeignKey("messages.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        *(_text(name) for name in ("messenger", "chat_id")),
        _user(),
        _text("parts"),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    op.create_index("ix_messenger_answers_user", "messenger_answers", ["user_id"])


def downgrade() -> None:
    for name in ("answers", "updates", "pollers", "chats", "codes", "links"):
        op.drop_table(f"messenger_{name}")
