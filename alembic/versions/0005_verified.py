"""Which verified answer a message is, answers that must not be given again, search by dialog."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("verified_id", sa.Uuid, nullable=True))
    op.create_table(
        "barred_answers",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("message_id", sa.Uuid, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    # of a dialog's words: for a search through one user's dialogs, and for deleting a dialog
    op.create_index("ix_message_search_dialog", "message_search", ["dialog_id"])


def downgrade() -> None:
    op.drop_index("ix_message_search_dialog", "message_search")
    op.drop_table("barred_answers")
    op.drop_column("messages", "verified_id")
