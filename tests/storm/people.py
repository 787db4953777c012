"""People of the storm: at a page over its socket, and by the API. Each notes what it was told."""

import asyncio
import random
import ssl
import uuid
from dataclasses import dataclass, field

import aiohttp
import httpx

from tests.fakes.page_client import PageClient

ANSWER_S = 60.0
STEP_S = 15.0
PAUSE_S = 0.3
# what a client meets when a process or its database is away; a refused login is an AssertionError
LOST = (OSError, TimeoutError, aiohttp.ClientError, httpx.HTTPError, AssertionError)


@dataclass
class Person:
    """Somebody who asks again and again.

    `mark` is in every question and in every answer to it, and nowhere else. `shown`: questions that
    the product said it has. `seen`: everything that came from the product.
    """

    number: int
    username: str
    password: str
    url: str
    trust: ssl.SSLContext
    random: random.Random
    sent: list[str] = field(default_factory=list[str])
    shown: set[str] = field(default_factory=set[str])
    seen: list[str] = field(default_factory=list[str])
    dialogs: set[str] = field(default_factory=set[str])

    @property
    def mark(self) -> str:
        return f"u{self.number}x"

    def question(self) -> str:
        tokens = self.random.choice((5, 40, 150, 400))
        delay = self.random.choice((0.0, 0.01, 0.03))
        text = f"{self.mark} {uuid.UUID(int=self.random.getrandbits(128)).hex}"
        self.sent.append(f"{text} fake:tokens={tokens},delay={delay},mark={self.mark}")
        return self.sent[-1]


async def at_a_page(person: Person, until: float) -> None:
    """Ask, read, reload, stop, ask on; until the loop's time `until`."""
    loop = asyncio.get_running_loop()
    page: PageClient | None = None
    jar = aiohttp.CookieJar(unsafe=True)
    try:
        while loop.time() < until:
            try:
                if page is None:
                    page = PageClient(person.url, jar=jar, trust=person.trust)
                    if not page.cookie:
                        place = await page.log_in(person.username, person.password)
                        if "error" in place:
                            raise ConnectionError(place)
                    await page.open("/")
                await _one_question(person, page)
            except LOST:
                if page is not None:
                    await _leave(person, page)
                    page = None
                await asyncio.sleep(PAUSE_S)
    finally:
        if page is not None:
            await _leave(person, page)


async def _one_question(person: Person, page: PageClient) -> None:
    text, send_id = person.question(), str(uuid.uuid4())
    loop = asyncio.get_running_loop()
    give_up = loop.time() + ANSWER_S
    while not _is_shown(page, text):
        try:
            await page.send(text, send_id=send_id)
            await page.wait_for(lambda: _is_shown(page, text) or page.error_code, STEP_S)
        except LOST:
            if loop.time() > give_up:
                raise
            await _come_back(person, page)
        if page.error_code and not _is_shown(page, text):
            await asyncio.sleep(PAUSE_S)
            await page.send_event("chat_state.dismiss_error")
            if loop.time() > give_up:
                return
    person.shown.add(text)
    person.dialogs.add(page.dialog_id)
    habit = person.random.random()
    if habit < 0.25:
        await asyncio.sleep(person.random.random())
        await _come_back(person, page)
    elif habit < 0.35 and page.running:
        await page.send_event("conversation_state.stop", answer_id=page.messages()[-1]["id"])
    while page.running:
        try:
            await page.wait_for(lambda: not page.running, STEP_S)
        except LOST:
            if loop.time() > give_up:
                raise
            await _come_back(person, page)
    if habit > 0.9:
        await page.open("/")


async def _come_back(person: Person, page: PageClient) -> None:
    """A new socket, at whichever process takes it; until somebody lets us in."""
    for _ in range(60):
        try:
            await page.open(page.path)
        except LOST:
            await asyncio.sleep(PAUSE_S)
        else:
            return
    raise ConnectionError("nobody lets us in")


def _is_shown(page: PageClient, text: str) -> bool:
    return any(row["text"] == text for row in page.messages())


async def _leave(person: Person, page: PageClient) -> None:
    person.seen += [frame.text for frame in page.frames]
    await page.aclose()


async def by_the_api(person: Person, until: float) -> None:
    """Ask by POST /ask, whole or as a stream; whatever fails is tried again with the same id."""
    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient(timeout=ANSWER_S, verify=person.trust) as client:
        token = ""
        while loop.time() < until:
            text = person.question()
            body = {
                "prompt": text,
                "client_id": str(uuid.uuid4()),
                "stream": person.random.random() < 0.5,
            }
            give_up = loop.time() + ANSWER_S
            while loop.time() < give_up:
                try:
                    if not token:
                        told = await client.post(
                            f"{person.url}/token",
                            json={"username": person.username, "password": person.password},
                        )
                        told.raise_for_status()
                        token = told.json()["access_token"]
                    answer = await client.post(
                        f"{person.url}/ask",
                        json=body,
                        headers={"authorization": f"Bearer {token}"},
                    )
                except LOST:
                    await asyncio.sleep(PAUSE_S)
                    continue
                person.seen.append(answer.text)
                if "x-genai-message-id" in answer.headers:
                    person.shown.add(text)
                if answer.status_code < 500 and answer.status_code != 429:
                    break
                await asyncio.sleep(PAUSE_S)
