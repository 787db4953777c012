"""Accounts of the company's directory: what it says of them, and when it was asked."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TEXTS = ("mail", "directory_dn")
FACTS = ("group_role", "granted_role", "disabled_reason")


def upgrade() -> None:
    for name in TEXTS:
        op.add_column(
            "users", sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''"))
        )
    for name in FACTS:
        op.add_column("users", sa.Column(name, sa.Text, nullable=True))
    op.add_column("users", sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        for name in ("checked_at", *FACTS, *TEXTS):
            users.drop_column(name)
