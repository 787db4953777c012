"""The text of a file in a read-only SQLite file that its child wrote.

The passages are the text, cut at borders of sentences, lines and rows: put together again they are
the pages. The word index keeps their stems.
"""

import sqlite3
from pathlib import Path

from genai_app.adapters.documents.errors import UnreadableFile

INDEX = "document.sqlite"
RESULT = "result.json"
THUMBNAIL = "thumbnail.webp"
# a passage: `kind` is text, head (of a table) or row; `line` counts rows of a table or lines
SCHEMA = (
    "CREATE TABLE pages (number INTEGER PRIMARY KEY, label TEXT, heading TEXT, chars INTEGER, "
    "tokens INTEGER)",
    "CREATE TABLE passages (number INTEGER PRIMARY KEY, page INTEGER, kind TEXT, line INTEGER, "
    "heading TEXT, tokens INTEGER, text TEXT)",
    "CREATE INDEX passages_by_page ON passages (page)",
    "CREATE TABLE overviews (page INTEGER PRIMARY KEY, content TEXT)",
    "CREATE VIRTUAL TABLE words USING fts5 (stems, content='', detail='column', "
    'tokenize="unicode61 remove_diacritics 0")',
)
MAX_VALUE = 64 << 20  # bytes of one value


def open_index(path: Path) -> sqlite3.Connection:
    """Opens the index of a file so that nothing in it can do harm: read-only, without functions in
    its schema, with bounds."""
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA query_only = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    return connection


def check_index(path: Path) -> None:
    """Raises UnreadableFile if a file has other tables than SCHEMA makes."""
    connection = open_index(path)
    try:
        rows = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'words\\_%' "
            "ESCAPE '\\'"
        ).fetchall()
    except sqlite3.Error as error:
        raise UnreadableFile("its index is broken", code="file_damaged") from error
    finally:
        connection.close()
    if sorted(sql for (sql,) in rows) != sorted(SCHEMA):
        raise UnreadableFile("its index has other tables", code="file_damaged")
