"""The result of an import: how many dialogs came, and why others did not."""

import json
from dataclasses import asdict, dataclass, fields


@dataclass(slots=True)
class ImportCounts:
    """Numbers of dialogs, but for `messages`.

    `repeated`: they had been imported before. `deleted`: imported before, and deleted by the user
    here. `expired`: older than the retention period. `empty`: without a question. `unread`: of an
    unknown form, damaged or too large. `cut`: with a message that was shortened. `seen`: all that
    are counted here. `stopped`: why the rest of the file was not read, "" if it was.
    """

    imported: int = 0
    messages: int = 0
    repeated: int = 0
    deleted: int = 0
    expired: int = 0
    empty: int = 0
    unread: int = 0
    cut: int = 0
    seen: int = 0
    stopped: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> "ImportCounts":
        """Reads the JSON of a row. Keys of other versions of the product are ignored."""
        names = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in json.loads(text).items() if key in names})
