"""What the directory last said of the groups of the settings; wrong passwords by account.

Accounts that the directory closed are looked up again at once: those that it has opened meanwhile
open here too. An account that an administrator disabled bears another reason, and stays disabled.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COUNTED = ("known", "strangers", "chain")
CLOSED = "disabled_reason LIKE 'directory/_%' ESCAPE '/'"


def upgrade() -> None:
    op.add_column("users", sa.Column("directory_groups", sa.Text, nullable=True))
    op.execute(f"UPDATE users SET checked_at = NULL WHERE {CLOSED}")
    moments = [f"{name}_at" for name in (*COUNTED, "next")] + ["unlocked_until"]
    op.create_table(
        "login_failures",
        sa.Column("account", sa.LargeBinary(32), primary_key=True),
        sa.Column("login", sa.Text, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in (*COUNTED, "unlocks")),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=True) for name in moments),
    )
    op.create_index("ix_login_failures_login", "login_failures", ["login"])


def downgrade() -> None:
    op.drop_index("ix_login_failures_login", "login_failures")
    op.drop_table("login_failures")
    op.drop_column("users", "directory_groups")
