"""Which API key began a dialog, and what the sentence for an answer's error names."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("error_details", sa.Text, nullable=True))
    op.add_column("dialogs", sa.Column("key_id", sa.Uuid, nullable=True))
    for name, first, where in (
        ("ix_dialogs_user_own", "user_id", sa.text("key_id IS NULL")),
        ("ix_dialogs_key", "key_id", sa.text("key_id IS NOT NULL")),
    ):
        op.create_index(
            name,
            "dialogs",
            [first, "updated_at", "id"],
            postgresql_where=where,
            sqlite_where=where,
        )


def downgrade() -> None:
    op.drop_index("ix_dialogs_key", "dialogs")
    op.drop_index("ix_dialogs_user_own", "dialogs")
    op.drop_column("dialogs", "key_id")
    op.drop_column("messages", "error_details")
