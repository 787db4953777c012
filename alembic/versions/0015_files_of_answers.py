"""Files of queued questions, and the parts of files in the prompt of an answer."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("files_used", sa.Text, nullable=True))
    for table in ("queued_questions", "messenger_chats"):
        op.add_column(table, sa.Column("attachments", sa.Text, nullable=True))


def downgrade() -> None:
    for table in ("queued_questions", "messenger_chats"):
        op.drop_column(table, "attachments")
    op.drop_column("messages", "files_used")
