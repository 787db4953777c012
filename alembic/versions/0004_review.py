"""Review and accountability: feedback, verdicts, verified answers, search, sealed audit, exports,
figures of use, legal hold.

`message_search` and `reviews` are kept by the database itself, so that no road past the product
leaves a dialog unseen. On SQLite the triggers call `stemmed`, which every connection of ours has.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TABLES = (
    *("usage_marks", "usage_people", "usage_latency", "usage_hours", "exports"),
    *("message_search", "verified_answers", "review_notes", "message_verdicts", "reviews"),
    "feedback",
)


def _user(name: str = "user_id") -> sa.Column[object]:
    key = sa.ForeignKey("users.id", ondelete="CASCADE")
    return sa.Column(name, sa.Uuid, key, nullable=False)


def _dialog(**options: bool) -> sa.Column[object]:
    key = sa.ForeignKey("dialogs.id", ondelete="CASCADE")
    return sa.Column("dialog_id", sa.Uuid, key, nullable=False, **options)


def _message(**options: bool) -> sa.Column[object]:
    key = sa.ForeignKey("messages.id", ondelete="CASCADE")
    return sa.Column("message_id", sa.Uuid, key, nullable=False, **options)


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    given = None if default is None else sa.text(f"'{default}'")
    return sa.Column(name, sa.Text, nullable=False, server_default=given)


def _hour() -> sa.Column[object]:
    return sa.Column("hour", MOMENT, primary_key=True)


def _part(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _index(name: str, table: str, columns: list[str], where: str = "", **options: object) -> None:
    picked = sa.text(where) if where else None
    op.create_index(name, table, columns, postgresql_where=picked, sqlite_where=picked, **options)  # type: ignore[arg-type]


def upgrade() -> None:
    _columns()
    _review_tables()
    _keeping_tables()
    if op.get_context().dialect.name == "postgresql":
        _on_postgresql()
    else:
        _on_sqlite()


def _columns() -> None:
    op.add_column("users", _text("department", ""))
    op.add_column("users", sa.Column("held_at", MOMENT, nullable=True))
    op.add_column("dialogs", sa.Column("held_at", MOMENT, nullable=True))
    op.add_column("audit_events", sa.Column("subject_id", sa.Uuid, nullable=True))
    op.add_column("audit_events", _text("reason", ""))
    op.add_column("audit_events", sa.Column("seq", sa.BigInteger, nullable=True))
    op.add_column("audit_events", sa.Column("hash", sa.LargeBinary(32), nullable=True))
    _index("uq_audit_events_seq", "audit_events", ["seq"], unique=True)
    _index("ix_audit_events_action", "audit_events", ["action", "at", "id"])
    _index("ix_audit_events_actor", "audit_events", ["actor_id", "at", "id"])
    _index(
        "ix_audit_events_subject", "audit_events", ["subject_id", "at"], "subject_id IS NOT NULL"
    )
    _index("ix_audit_events_unsealed", "audit_events", ["id"], "seq IS NULL")

    # the pages of a table that only grows: a few kB; where there is none, an ordinary index
    op.create_index("ix_messages_created", "messages", ["created_at"], postgresql_using="brin")


def _review_tables() -> None:
    op.create_table(
        "feedback",
        _message(primary_key=True),
        _dialog(),
        _user(),
        _text("rating"),
        _text("reason"),
        _text("comment"),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    _index("ix_feedback_dialog_id", "feedback", ["dialog_id"])
    op.create_table(
        "reviews",
        _dialog(primary_key=True),
        _user(),
        *(_text(name, "") for name in ("department", "channel", "model", "source", "status")),
        *(_text(name, "") for name in ("rating", "verdict")),
        _text("state", "new"),
        sa.Column("assignee_id", sa.Uuid, nullable=True),
        _text("assignee_name", ""),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=True),
    )
    order = ["updated_at", "dialog_id"]
    _index(
        "ix_reviews_updated",
        "reviews",
        order,
        postgresql_include=[
            *("user_id", "department", "channel", "model", "source", "status"),
            *("rating", "state", "verdict", "assignee_id"),
        ],
    )
    _index("ix_reviews_user", "reviews", ["user_id", *order])
    _index("ix_reviews_department", "reviews", ["department", *order])
    for name, usual in (
        ("rating", ""),
        ("verdict", ""),
        ("state", "new"),
        ("source", "model"),
        ("status", "complete"),
        ("channel", "web"),
    ):
        _index(f"ix_reviews_{name}", "reviews", [name, *order], f"{name} <> '{usual}'")
    op.create_table(
        "message_verdicts",
        _message(primary_key=True),
        _dialog(),
        _text("verdict"),
        sa.Column("reviewer_id", sa.Uuid, nullable=False),
        _text("reviewer_name"),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    _index("ix_message_verdicts_dialog_id", "message_verdicts", ["dialog_id"])
    op.create_table(
        "review_notes",
        sa.Column("id", sa.Uuid, primary_key=True),
        _dialog(),
        sa.Column("author_id", sa.Uuid, nullable=False),
        _text("author_name"),
        _text("text"),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    _index("ix_review_notes_dialog_id", "review_notes", ["dialog_id", "id"])
    op.create_table(
        "verified_answers",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("question_hash", sa.LargeBinary(32), nullable=False),
        _text("question"),
        _text("answer"),
        sa.Column("owner_id", sa.Uuid, nullable=False),
        _text("owner_name"),
        sa.Column("message_id", sa.Uuid, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("review_by", MOMENT, nullable=False),
        sa.Column("retired_at", MOMENT, nullable=True),
        sa.Column("hits", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_hit_at", MOMENT, nullable=True),
    )
    _index(
        "uq_verified_answers_question",
        "verified_answers",
        ["question_hash"],
        "retired_at IS NULL",
        unique=True,
    )
    op.create_table(
        "message_search",
        sa.Column("id", SEQUENCE, primary_key=True, autoincrement=True),
        _message(),
        _dialog(),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("words", TSVECTOR().with_variant(sa.Text, "sqlite"), nullable=True),
        sa.UniqueConstraint("message_id", name="uq_message_search_message_id"),
    )
    _index("ix_message_search_user", "message_search", ["user_id", "id"])


def _keeping_tables() -> None:
    op.create_table(
        "exports",
        sa.Column("id", sa.Uuid, primary_key=True),
        _user("owner_id"),
        *(_text(name) for name in ("kind", "format", "chosen", "locale", "state")),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        _text("file_name"),
        _text("error_code"),
        sa.Column("created_at", MOMENT, nullable=False),
        *(
            sa.Column(name, MOMENT, nullable=True)
            for name in ("finished_at", "expires_at", "lease_until")
        ),
    )
    _index("ix_exports_owner", "exports", ["owner_id", "id"])
    _index("ix_exports_state", "exports", ["state", "id"])
    op.create_table(
        "usage_hours",
        _hour(),
        *(_part(name) for name in ("department", "model", "channel", "source", "status")),
        sa.Column("answers", sa.Integer, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("prompt_tokens", "completion_tokens", "total_ms")
        ),
    )
    op.create_table(
        "usage_latency",
        _hour(),
        *(_part(name) for name in ("department", "model", "kind")),
        sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("answers", sa.Integer, nullable=False),
    )
    op.create_table(
        "usage_people",
        _hour(),
        sa.Column("user_id", sa.Uuid, primary_key=True),
        _part("department"),
        sa.Column("answers", sa.Integer, nullable=False),
    )
    op.create_table("usage_marks", _hour(), sa.Column("counted_at", MOMENT, nullable=False))


# text that is longer holds words enough
INDEXED_CHARS = 200_000
REVIEW = """
    INSERT INTO reviews (dialog_id, user_id, department, channel, model, source, status, updated_at)
    SELECT {row}.dialog_id, {row}.user_id, u.department, {row}.channel, coalesce({row}.model, ''),
           coalesce({row}.source, ''), {row}.status, {row}.created_at
    FROM {origin} WHERE {join}
"""
REVIEW_AGAIN = """
    ON CONFLICT (dialog_id) DO UPDATE SET
        channel = excluded.channel, model = excluded.model, source = excluded.source,
        status = excluded.status, updated_at = excluded.updated_at,
        state = CASE WHEN reviews.state = 'closed' THEN 'new' ELSE reviews.state END
"""
OF_NEW = REVIEW.format(row="NEW", origin="users u", join="u.id = NEW.user_id") + REVIEW_AGAIN
OF_ALL = REVIEW.format(
    row="m",
    origin="messages m JOIN users u ON u.id = m.user_id",
    join="m.author = 'assistant' AND m.id = (SELECT max(n.id) FROM messages n"
    " WHERE n.dialog_id = m.dialog_id AND n.author = 'assistant' AND n.status <> 'running')",
)
# uuids have no max() before PostgreSQL 18
OF_ALL_POSTGRESQL = REVIEW.format(
    row="m",
    origin="(SELECT DISTINCT ON (dialog_id) * FROM messages WHERE author = 'assistant'"
    " AND status <> 'running' ORDER BY dialog_id, id DESC) m JOIN users u ON u.id = m.user_id",
    join="TRUE",
)


def _on_postgresql() -> None:
    op.create_index("ix_message_search_words", "message_search", ["words"], postgresql_using="gin")
    op.execute(
        f"""
        CREATE FUNCTION message_ended() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO message_search (message_id, dialog_id, user_id, words)
            VALUES (NEW.id, NEW.dialog_id, NEW.user_id,
                    to_tsvector('russian', left(NEW.text, {INDEXED_CHARS})))
            ON CONFLICT (message_id) DO UPDATE SET words = excluded.words;
            IF NEW.author = 'assistant' THEN {OF_NEW}; END IF;
            RETURN NULL;
        END $$
        """
    )
    for when in ("INSERT", "UPDATE OF status"):
        op.execute(
            f"""
            CREATE TRIGGER message_ended_{when.split()[0].lower()} AFTER {when} ON messages
            FOR EACH ROW WHEN (NEW.status <> 'running') EXECUTE FUNCTION message_ended()
            """
        )
    op.execute(
        f"""
        INSERT INTO message_search (message_id, dialog_id, user_id, words)
        SELECT id, dialog_id, user_id, to_tsvector('russian', left(text, {INDEXED_CHARS}))
        FROM messages WHERE status <> 'running' ORDER BY id
        """
    )
    op.execute(OF_ALL_POSTGRESQL)
    op.execute(
        """
        CREATE FUNCTION audit_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'sealed audit events stay as they are'; END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER audit_sealed BEFORE UPDATE OR DELETE ON audit_events
        FOR EACH ROW WHEN (OLD.seq IS NOT NULL) EXECUTE FUNCTION audit_sealed()
        """
    )
    op.execute(
        """
        CREATE TRIGGER audit_kept BEFORE TRUNCATE ON audit_events
        FOR EACH STATEMENT EXECUTE FUNCTION audit_sealed()
        """
    )


def _on_sqlite() -> None:
    op.execute(
        "CREATE VIRTUAL TABLE message_words USING fts5("
        "words, content='message_search', content_rowid='id', tokenize='unicode61')"
    )
    for name, event, statement in (
        (
            "found",
            "INSERT",
            "INSERT INTO message_words (rowid, words) VALUES (NEW.id, NEW.words);",
        ),
        (
            "forgotten",
            "DELETE",
            "INSERT INTO message_words (message_words, rowid, words)"
            " VALUES ('delete', OLD.id, OLD.words);",
        ),
    ):
        op.execute(
            f"CREATE TRIGGER message_search_{name} AFTER {event} ON message_search"
            f" BEGIN {statement} END"
        )
    for name, event in (("insert", "INSERT"), ("update", "UPDATE OF status")):
        op.execute(
            f"""
            CREATE TRIGGER message_ended_{name} AFTER {event} ON messages
            WHEN NEW.status <> 'running'
            BEGIN
                DELETE FROM message_search WHERE message_id = NEW.id;
                INSERT INTO message_search (message_id, dialog_id, user_id, words)
                VALUES (NEW.id, NEW.dialog_id, NEW.user_id,
                        stemmed(substr(NEW.text, 1, {INDEXED_CHARS})));
            END
            """
        )
        op.execute(
            f"""
            CREATE TRIGGER answer_ended_{name} AFTER {event} ON messages
            WHEN NEW.status <> 'running' AND NEW.author = 'assistant'
            BEGIN {OF_NEW}; END
            """
        )
    op.execute(
        f"""
        INSERT INTO message_search (message_id, dialog_id, user_id, words)
        SELECT id, dialog_id, user_id, stemmed(substr(text, 1, {INDEXED_CHARS}))
        FROM messages WHERE status <> 'running' ORDER BY id
        """
    )
    op.execute(OF_ALL)
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_sealed_{event.lower()} BEFORE {event} ON audit_events"
            " WHEN OLD.seq IS NOT NULL BEGIN"
            " SELECT RAISE(ABORT, 'sealed audit events stay as they are'); END"
        )


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for when in ("insert", "update"):
            op.execute(f"DROP TRIGGER message_ended_{when} ON messages")
        op.execute("DROP TRIGGER audit_sealed ON audit_events")
        op.execute("DROP TRIGGER audit_kept ON audit_events")
        op.execute("DROP FUNCTION message_ended()")
        op.execute("DROP FUNCTION audit_sealed()")
    else:
        for when in ("insert", "update"):
            op.execute(f"DROP TRIGGER message_ended_{when}")
            op.execute(f"DROP TRIGGER answer_ended_{when}")
        for when in ("update", "delete"):
            op.execute(f"DROP TRIGGER audit_sealed_{when}")
        op.execute("DROP TABLE message_words")
    for name in TABLES:
        op.drop_table(name)
    op.drop_index("uq_audit_events_seq", "audit_events")
    for name in ("action", "actor", "subject", "unsealed"):
        op.drop_index(f"ix_audit_events_{name}", "audit_events")
    with op.batch_alter_table("audit_events") as events:
        for name in ("hash", "seq", "reason", "subject_id"):
            events.drop_column(name)
    op.drop_index("ix_messages_created", "messages")
    op.drop_column("dialogs", "held_at")
    op.drop_column("users", "held_at")
    op.drop_column("users", "department")
