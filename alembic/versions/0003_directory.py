"""Accounts of the company's directory: what it says of them, and when it was asked."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = (
    sa.Column("mail", sa.Text, nullable=False, server_default=""),
    sa.Column("directory_dn", sa.Text, nullable=False, server_default=""),
    sa.Column("group_role", sa.Text, nullable=True),
    sa.Column("granted_role", sa.Text, nullable=True),
    sa.Column("disabled_reason", sa.Text, nullable=True),
    sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
)


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("users", column.copy())


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        for column in reversed(COLUMNS):
            users.drop_column(column.name)
