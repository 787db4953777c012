"""The files of a question's branch, as they stand in the prompt.

Whole text stands in the system message, before the history and in the order in which the files
came: the same beginning for every question of the branch, which the model server keeps. Of a file
that does not fit, its beginning (of tables: what is in them) stands there, and the passages that
have to do with the question stand right before the question. Pictures stand in the question that
they came with.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from genai_app.adapters.llm.pictures import Picture, digest_of
from genai_app.errors import InvalidInput, NotFound
from genai_app.models import Attachment
from genai_app.services.derived_keys import derive_key
from genai_app.services.files.citations import plain_name
from genai_app.services.files.contents import FileContents
from genai_app.services.files.rows import summary_of
from genai_app.services.files.usage import FileUse, How
from genai_app.services.generation.context import estimate_tokens
from genai_app.services.generation.file_excerpts import Excerpts, GivenText
from genai_app.services.generation.file_frame import Frame
from genai_app.services.generation.served_models import ServedModels

MOST_PICTURES = 8  # in one request
MOST_PICTURE_BYTES = 12 * 1024 * 1024
FRAME_TOKENS = 80  # around each file
RULES_TOKENS = 300
LEAST_SHARE = 200  # tokens of a file that are worth giving


@dataclass(frozen=True, slots=True)
class BranchFiles:
    """The files of a branch. `earlier`: each with the id of the question that it came with, oldest
    first. `own`: those of the question that is asked."""

    earlier: Sequence[tuple[uuid.UUID, Attachment]] = ()
    own: Sequence[Attachment] = ()

    @property
    def rows(self) -> list[tuple[uuid.UUID | None, Attachment]]:
        """All of them in order, each content once; None stands for the question itself."""
        ordered = [*self.earlier, *((None, row) for row in self.own)]
        seen: set[bytes] = set()
        return [
            each for each in ordered if not (each[1].sha256 in seen or seen.add(each[1].sha256))
        ]


@dataclass(slots=True)
class FileParts:
    """Parts of files in a prompt. `system`: for the system message. `near`, `limits`: to stand
    before the question. `pictures`: by the question that they came with, None for the one that is
    asked. `contents`: hashes of all, for the key of the answer. `tokens`: of everything."""

    system: str = ""
    near: list[str] = field(default_factory=list[str])
    limits: list[str] = field(default_factory=list[str])
    pictures: dict[uuid.UUID | None, list[Picture]] = field(
        default_factory=dict[uuid.UUID | None, list[Picture]]
    )
    uses: list[FileUse] = field(default_factory=list[FileUse])
    contents: tuple[str, ...] = ()
    tokens: int = 0


class FileContext:
    """Chooses the parts of a branch's files for the prompt, and frames them.

    Args:
        secret: of the product; the marks around files are derived from it.
        locale: of the words around them.
    """

    def __init__(
        self, contents: FileContents, models: ServedModels, secret: bytes, locale: str
    ) -> None:
        self._contents = contents
        self._models = models
        self._excerpts = Excerpts(contents)
        self.frame = Frame(locale, derive_key(secret, "marks around files"))

    async def parts(
        self, files: BranchFiles, question: str, budget: int, model: str | None
    ) -> FileParts:
        """Returns the parts of the files for the prompt.

        Args:
            question: what passages are looked for.
            budget: tokens for all of it.

        Raises:
            InvalidInput: model_cannot_see: a file of the question is a picture, or has no text.
            NotFound: the bytes of a file of the question are gone.
        """
        parts = FileParts()
        rows = files.rows
        parts.contents = tuple(row.sha256.hex() for _, row in rows)
        live = [each for each in rows if _is_there(each[1])]
        await self._take_pictures(parts, live, budget, model)
        budget -= sum(each.tokens for some in parts.pictures.values() for each in some)
        shares = _shares([row.tokens or 0 for _, row in live], budget - RULES_TOKENS)
        by_id = {row.id: share for (_, row), share in zip(live, shares, strict=True)}
        framed: list[str] = []
        for asked, row in rows:
            try:
                excerpt = await self._excerpt(row, question, by_id.get(row.id))
            except NotFound:
                if asked is None:
                    raise
                excerpt = GivenText("deleted")
            framed.append(self._add(parts, row, excerpt))
        example = rows[0][1]
        rules = self.frame.rules(example.name, _unit(example))
        parts.system = "\n\n".join([rules, *framed])
        texts = (parts.system, *parts.near, *parts.limits)
        parts.tokens = sum(map(estimate_tokens, texts))
        parts.tokens += sum(each.tokens for some in parts.pictures.values() for each in some)
        return parts

    async def _excerpt(self, row: Attachment, question: str, share: int | None) -> GivenText:
        """Returns the text of a file that its share of the budget holds."""
        if share is None:
            return GivenText("deleted")
        needed = row.tokens or 0
        if not needed:
            return GivenText("whole")
        if share >= needed:
            text = await self._contents.text(row, max_chars=(row.chars or 0) + 1)
            return GivenText("whole", beginning=text)
        if share < LEAST_SHARE:
            return GivenText("left_out")
        return await self._excerpts.of(row, question, share)

    def _add(self, parts: FileParts, row: Attachment, excerpt: GivenText) -> str:
        """Adds a file to the parts. Returns its frame for the system message."""
        unit, pages = _unit(row), row.pages or 0
        shown = sum(each.file == row.sha256.hex() for each in _all(parts))
        how: How = excerpt.how
        if how == "whole" and not excerpt.beginning and not shown:
            how = "left_out"  # pictures for a model that does not see
        word = "picture" if how == "whole" and not excerpt.beginning else how
        if excerpt.is_table:
            word = "table"
        used = sorted(excerpt.used)
        parts.uses.append(
            FileUse(str(row.id), row.name, row.kind, unit, pages, how, tuple(used), shown)
        )
        if excerpt.passages:
            texts = [
                f"[{self.frame.page_name(unit, each.page, each.label)}] {each.heading}\n{each.text}"
                for each in excerpt.passages
            ]
            framed = "\n\n".join(texts)
            parts.near.append(self.frame.file(row, unit, 0, "parts", framed))
        if how == "parts" and pages > len(used):
            parts.limits.append(self.frame.only(row.name, unit, used, pages))
        return self.frame.file(row, unit, pages, word, excerpt.beginning)

    async def _take_pictures(
        self,
        parts: FileParts,
        live: Sequence[tuple[uuid.UUID | None, Attachment]],
        budget: int,
        model: str | None,
    ) -> None:
        """Chooses pictures: first those of the question, then the newest of the files before."""
        shown = [each for each in live if (summary := summary_of(each[1])) and summary.pictures]
        if not shown:
            return
        sees = await self._models.sees(model)
        if not sees:
            blind = [row.name for asked, row in shown if asked is None and not row.tokens]
            if blind:
                names = ", ".join(plain_name(name) for name in blind)
                raise InvalidInput(code="model_cannot_see", names=names, param="attachments")
            return
        own = [each for each in shown if each[0] is None]
        earlier = [each for each in shown if each[0] is not None]
        left, count, size = budget // 2, MOST_PICTURES, MOST_PICTURE_BYTES
        for asked, row in [*own, *reversed(earlier)]:
            for each in await self._contents.pictures(row):
                about = each.picture
                picture = Picture(
                    path=each.path,
                    media_type=about.media_type,
                    width=about.width,
                    height=about.height,
                    label=self._label(row, about.page),
                    digest=digest_of(row.sha256, about.name),
                    file=row.sha256.hex(),
                )
                is_first = asked is None and about.page == 0  # what was asked about
                fits = picture.tokens <= left or is_first
                if not (count and fits and about.bytes <= size):
                    break
                left, count, size = left - picture.tokens, count - 1, size - about.bytes
                parts.pictures.setdefault(asked, []).append(picture)

    def _label(self, row: Attachment, page: int) -> str:
        """Returns the words that stand before a picture."""
        name = plain_name(row.name)
        return f"[{name}, {self.frame.page_name(_unit(row), page)}]" if page else f"[{name}]"


def _all(parts: FileParts) -> list[Picture]:
    return [each for some in parts.pictures.values() for each in some]


def _is_there(row: Attachment) -> bool:
    return row.deleted_at is None and row.wiped_at is None and summary_of(row) is not None


def _unit(row: Attachment) -> str:
    summary = summary_of(row)
    return summary.unit if summary is not None else "page"


def _shares(needs: Sequence[int], room: int) -> list[int]:
    """Returns how much of `room` each file gets: small files all they need, the others the same."""
    shares = [0] * len(needs)
    order = sorted(range(len(needs)), key=lambda at: needs[at])
    for turn, at in enumerate(order):
        fair = max(room, 0) // (len(order) - turn)
        needed = needs[at] + FRAME_TOKENS if needs[at] else FRAME_TOKENS
        room -= min(needed, fair)
        shares[at] = max(min(needed, fair) - FRAME_TOKENS, 0)
    return shares
