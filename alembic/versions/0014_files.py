"""Files that users send with their questions."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    user = sa.ForeignKey("users.id", ondelete="CASCADE")
    op.create_table(
        "attachments",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, user, nullable=False),
        sa.Column("dialog_id", sa.Uuid, nullable=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "media_type", "kind")),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=True) for name in ("pages", "chars", "tokens")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("summary", "error_code")),
        sa.Column("created_at", MOMENT, nullable=False),
        *(
            sa.Column(name, MOMENT, nullable=True)
            for name in ("finished_at", "deleted_at", "wiped_at")
        ),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("total", "done", "tries")),
        *(sa.Column(name, MOMENT, nullable=True) for name in ("lease_until", "expires_at")),
    )
    op.create_index("ix_attachments_user", "attachments", ["user_id", "id"])
    op.create_index("ix_attachments_content", "attachments", ["user_id", "sha256"])
    op.create_index("ix_attachments_state", "attachments", ["state", "id"])
    op.create_index("ix_attachments_dialog", "attachments", ["dialog_id"])
    op.create_table(
        "message_attachments",
        *(
            sa.Column(
                f"{name}_id",
                sa.Uuid,
                sa.ForeignKey(f"{name}s.id", ondelete="CASCADE"),
                primary_key=True,
            )
            for name in ("message", "attachment")
        ),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_index("ix_message_attachments_attachment", "message_attachments", ["attachment_id"])


def downgrade() -> None:
    op.drop_table("message_attachments")
    op.drop_table("attachments")
