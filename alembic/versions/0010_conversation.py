"""Reasoning, variants and pauses of answers, branches that were left, folders, pinned and archived
dialogs, queued questions, own instructions."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
EMPTY = {"nullable": False, "server_default": sa.text("''")}
# locked in the order in which a question locks them: users, dialogs, messages
ADDED = (
    ("users", "instructions", sa.Text, EMPTY),
    ("dialogs", "folder_id", sa.Uuid, {}),
    ("dialogs", "pinned_at", MOMENT, {}),
    ("dialogs", "archived_at", MOMENT, {}),
    ("messages", "reasoning", sa.Text, EMPTY),
    ("messages", "reasoning_tokens", sa.Integer, {}),
    ("messages", "reasoning_ms", sa.Integer, {}),
    ("messages", "variant", sa.Text, {}),
    ("messages", "paused_ms", sa.Integer, {}),
    ("messages", "left_at", MOMENT, {}),
)


def _key(target: str) -> sa.ForeignKey:
    return sa.ForeignKey(target, ondelete="CASCADE")


def upgrade() -> None:
    for table, name, kind, options in ADDED:
        op.add_column(table, sa.Column(name, kind, **options))
    op.create_table(
        "folders",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, _key("users.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.UniqueConstraint("user_id", "name", name="uq_folders_user_name"),
    )
    op.create_table(
        "queued_questions",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, _key("users.id"), nullable=False),
        sa.Column("dialog_id", sa.Uuid, _key("dialogs.id"), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("error_code", sa.Text, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    op.create_index("ix_queued_questions_dialog", "queued_questions", ["dialog_id", "created_at"])


def downgrade() -> None:
    op.drop_table("queued_questions")
    op.drop_table("folders")
    for table, name, _, _ in reversed(ADDED):
        op.drop_column(table, name)
