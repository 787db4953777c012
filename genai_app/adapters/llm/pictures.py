"""Pictures in a prompt: what is sent of them, and how many tokens they are."""

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import structlog

log = structlog.stdlib.get_logger(__name__)

PATCH = 28  # pixels: the larger models of today make one token of so many by so many
LEAST_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a turn. `label`: how the text names it. `digest`: of its file and place there;
    equal pictures have the same one; `file`: the hash of that file. It is read when it is sent: a
    prompt may wait for long."""

    path: Path = field(compare=False)
    media_type: str
    width: int
    height: int
    label: str
    digest: str
    file: str

    @property
    def tokens(self) -> int:
        """Returns about how many tokens a model makes of it."""
        return max(-(-self.width // PATCH) * -(-self.height // PATCH) + 2, LEAST_TOKENS)

    def data_url(self) -> str | None:
        """Returns the picture for the request; None where its file was deleted meanwhile."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            log.info("llm.picture_gone", error=type(error).__name__)
            return None
        return f"data:{self.media_type};base64,{base64.b64encode(data).decode()}"


def digest_of(content: bytes, name: str) -> str:
    """Returns the digest of a picture that is called `name` in a file with the hash `content`."""
    return hashlib.sha256(content + name.encode()).hexdigest()
