"""When a dialog was changed last, for the pages that show it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dialogs", sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_dialogs_user_changed", "dialogs", ["user_id", "changed_at"])


def downgrade() -> None:
    op.drop_index("ix_dialogs_user_changed", "dialogs")
    op.drop_column("dialogs", "changed_at")
