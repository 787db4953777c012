"""Titles by the model, parameters of queued questions, and a review that never goes back in time.

`reviews.updated_at` went back when an answer on an older branch was continued: it became the time
of that answer's question, and the dialog left its place in the list of reviewers.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
ADDED = (
    ("dialogs", "titled_by", sa.Text, {}),
    (
        "dialogs",
        "title_tries",
        sa.Integer,
        {"nullable": False, "server_default": sa.text("0")},
    ),
    ("dialogs", "title_lease_until", MOMENT, {}),
    ("queued_questions", "sampling", sa.Text, {}),
)
INDEXED_CHARS = 200_000
LATEST = "excluded.updated_at"
NEVER_BACK = (
    "CASE WHEN excluded.updated_at > reviews.updated_at"
    " THEN excluded.updated_at ELSE reviews.updated_at END"
)
REVIEW = """
    INSERT INTO reviews (dialog_id, user_id, department, channel, model, source, status, updated_at)
    SELECT NEW.dialog_id, NEW.user_id, u.department, NEW.channel, coalesce(NEW.model, ''),
           coalesce(NEW.source, ''), NEW.status, NEW.created_at
    FROM users u WHERE u.id = NEW.user_id
    ON CONFLICT (dialog_id) DO UPDATE SET
        channel = excluded.channel, model = excluded.model, source = excluded.source,
        status = excluded.status, updated_at = {moment},
        state = CASE WHEN reviews.state = 'closed' THEN 'new' ELSE reviews.state END
"""
# of dialogs in which an answer was continued: the newest question that was answered
MEND = """
    UPDATE reviews SET updated_at = (
        SELECT max(m.created_at) FROM messages m
        WHERE m.dialog_id = reviews.dialog_id AND m.author = 'assistant' AND m.status <> 'running'
    )
    WHERE dialog_id IN (SELECT dialog_id FROM messages WHERE paused_ms IS NOT NULL)
      AND updated_at < (
        SELECT max(m.created_at) FROM messages m
        WHERE m.dialog_id = reviews.dialog_id AND m.author = 'assistant' AND m.status <> 'running'
    )
"""


def upgrade() -> None:
    for table, name, kind, options in ADDED:
        op.add_column(table, sa.Column(name, kind, **options))
    _replace_triggers(NEVER_BACK)
    op.execute(MEND)


def downgrade() -> None:
    _replace_triggers(LATEST)
    for table, name, _, _ in reversed(ADDED):
        op.drop_column(table, name)


def _replace_triggers(moment: str) -> None:
    review = REVIEW.format(moment=moment)
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            f"""
            CREATE OR REPLACE FUNCTION message_ended() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO message_search (message_id, dialog_id, user_id, words)
                VALUES (NEW.id, NEW.dialog_id, NEW.user_id,
                        to_tsvector('russian', left(NEW.text, {INDEXED_CHARS})))
                ON CONFLICT (message_id) DO UPDATE SET words = excluded.words;
                IF NEW.author = 'assistant' THEN {review}; END IF;
                RETURN NULL;
            END $$
            """
        )
        return
    for name, event in (("insert", "INSERT"), ("update", "UPDATE OF status")):
        op.execute(f"DROP TRIGGER answer_ended_{name}")
        op.execute(
            f"""
            CREATE TRIGGER answer_ended_{name} AFTER {event} ON messages
            WHEN NEW.status <> 'running' AND NEW.author = 'assistant'
            BEGIN {review}; END
            """
        )
