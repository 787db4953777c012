"""N1 to N7, from the database, the model server's own log and what people were told."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import aiohttp
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import Generation, Message
from tests.fakes.model_records import RequestRecord
from tests.fakes.page_client import PageClient
from tests.storm.faults import Storm
from tests.storm.people import Person

LOSS_S = 1.0
CLOCK_S = 0.1  # the answer's row and the model's record are of one machine's clock
SAVING_S = 5.0  # before a crash in which the database was away, nothing could be saved

Rows = dict[str, list[Message]]


async def read_rows(db: Database) -> tuple[list[Message], int]:
    """All messages, and how many runs have not ended."""
    async with db.read() as session:
        messages = list(await session.scalars(sa.select(Message).order_by(col(Message.id))))
        running = await session.scalar(
            sa.select(sa.func.count()).where(col(Generation.ended_at).is_(None))
        )
    return messages, running or 0


def broken_promises(
    people: Sequence[Person],
    calls: Sequence[RequestRecord],
    messages: Sequence[Message],
    running: int,
    storm: Storm,
) -> Iterator[str]:
    """A sentence for everything that is not as promised."""
    questions: Rows = defaultdict(list)
    answers: dict[object, list[Message]] = defaultdict(list)
    for row in messages:
        if row.author == "user":
            questions[row.text].append(row)
        else:
            answers[row.parent_id].append(row)
    called: dict[str, list[RequestRecord]] = defaultdict(list)
    for call in calls:
        # a question whose answer never began is sent again before the next one
        called[str(call.messages[-1]["content"]).rpartition("\n\n")[2]].append(call)

    for text, records in called.items():
        rows = questions.get(text, [])
        if not rows:
            yield f"N1: the model was asked what the database does not have: {text}"
        elif rows[0].created_at.timestamp() > records[0].wall + CLOCK_S:
            yield f"N1: committed after the model was asked: {text}"
        if sum(bool(record.sent) for record in records) > 1:
            yield f"N4: the model answered {len(records)} times: {text}"
    for text, rows in questions.items():
        if len(rows) > 1:
            yield f"N4: committed {len(rows)} times: {text}"
        found = answers[rows[0].id]
        if len(found) != 1:
            yield f"N4: {len(found)} answers: {text}"
        for answer in found:
            yield from _of_answer(text, answer, called.get(text, []), storm)
    if running or any(row.status == "running" for row in messages):
        yield f"N3: {running} runs go on, though nobody makes them"
    for person in people:
        for text in person.shown - questions.keys():
            yield f"N6: {person.username} was shown as saved what is not: {text}"
        everything = "\n".join(person.seen)
        # a mark with what follows it in a text: the names of sockets are any letters
        others = set(re.findall(r"\b(u\d+x)\d* ", everything)) - {person.mark}
        if others:
            yield f"N7: {person.username} was told of {sorted(others)}"


def _of_answer(
    text: str, answer: Message, records: Sequence[RequestRecord], storm: Storm
) -> Iterator[str]:
    told = next((record for record in records if record.sent), None)
    whole = told.sent_text if told else ""
    if answer.status == "complete" and answer.text != whole:
        yield f"N2: complete, but {len(answer.text)} of {len(whole)} characters: {text}"
    elif not whole.startswith(answer.text):
        yield f"N2: not what the model said: {text}"
    elif told is not None and told.aborted_at is not None and answer.status == "interrupted":
        gone = told.aborted_at
        if storm.broken("restart_postgres", gone - SAVING_S, gone):
            return
        owed = "".join(sent.text for sent in told.sent if sent.mono < gone - LOSS_S)
        if not answer.text.startswith(owed):
            lost_s = gone - next(
                s.mono for n, s in enumerate(told.sent) if n >= answer.text.count(" ")
            )
            yield f"N2: {lost_s:.1f} s of the answer are lost: {text}"


async def broken_views(people: Sequence[Person], messages: Sequence[Message]) -> list[str]:
    """N5: what a fresh page shows of each dialog, against the rows."""
    of_dialog: dict[str, list[Message]] = defaultdict(list)
    for row in messages:
        of_dialog[str(row.dialog_id)].append(row)
    wrong: list[str] = []
    for person in people:
        jar = aiohttp.CookieJar(unsafe=True)
        async with PageClient(person.url, jar=jar, trust=person.trust) as page:
            await page.log_in(person.username, person.password)
            for dialog in sorted(person.dialogs):
                await page.open(f"/c/{dialog}")
                shown = [(row["text"], row["status"]) for row in page.messages()]
                kept = [(row.text, row.status) for row in of_dialog[dialog]][-len(shown) :]
                if shown != kept or not shown:
                    wrong.append(f"N5: {person.username} sees another dialog than {dialog}")
    return wrong
