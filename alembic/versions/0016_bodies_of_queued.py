"""A queued question that was changed keeps the digest of what was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("queued_questions", sa.Column("body_hash", sa.LargeBinary(32), nullable=True))


def downgrade() -> None:
    op.drop_column("queued_questions", "body_hash")
