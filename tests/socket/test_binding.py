"""A socket belongs to a session and to our own pages."""

import asyncio

import aiohttp
import pytest

from genai_app.db.database import Database
from genai_app.services.accounts.users import Users
from tests.cast import PASSWORDS
from tests.conftest import OpenPage
from tests.fakes.app_process import AppProcess
from tests.fakes.page_client import PageClient
from tests.fakes.questions import question

LOGOUT_SEEN_S = 5.0


def foreign(app: AppProcess) -> list[str]:
    port = app.port
    return [
        *("", "null", "https://evil.example", f"https://127.0.0.1:{port}"),
        *(f"http://127.0.0.1:{port}.evil.example", f"http://127.0.0.1:{port + 1}"),
        *(
            f"http://127.0.0.1.evil.example:{port}",
            f"http://evil.example:{port}",
            "http://127.0.0.1",
        ),
        *(f"http://127.0.0.1:{port}/", f"HTTP://127.0.0.1:{port}", f"http://127.0.0.1:{port} evil"),
    ]


async def test_foreign_origins_get_no_socket(app: AppProcess, open_page: OpenPage) -> None:
    """Other origins, none, `null` and look-alikes are refused at the handshake."""
    page = await open_page("alice", path="")
    for origin in foreign(app):
        page.origin = origin
        with pytest.raises(ConnectionError, match="handshake refused: 403"):
            await page.open("/")
    page.origin = f"http://localhost:{app.port}"
    await page.open("/")
    assert page.view("session_state")["username"] == "alice"


async def test_no_other_path_leads_to_the_socket(app: AppProcess, open_page: OpenPage) -> None:
    """A path that only looks like the event socket's opens nothing."""
    page = await open_page("alice", path="")
    for path in (
        "//_event/",
        "/_EVENT/",
        "/x/_event/",
        "/_upload",
        "/",
        "/login",
        "/%5fevent/../x",
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with aiohttp.ClientSession() as http:
                await http.ws_connect(
                    f"{app.url}{path}", headers={"Origin": "https://evil.example"}
                )
    assert page.closed


@pytest.mark.parametrize("thief", ["", "bob"])
@pytest.mark.parametrize("connected", [True, False], ids=["owner_there", "owner_gone"])
async def test_a_stolen_token_opens_nothing(
    thief: str, connected: bool, open_page: OpenPage
) -> None:
    """Alice's client token without her cookie, or with Bob's: nothing of hers; she stays."""
    alice = await open_page("alice")
    await alice.ask(question(words="canary-token"))
    if not connected:
        await alice.drop()
    other = await open_page(thief, path="")
    other.token = alice.token
    await other.open("/")
    await other.send_event("state.hydrate_and_load")
    await other.send_event("state.hydrate")
    assert not thief or await other.round_trip()
    everything = "".join(frame.text for frame in other.frames)
    assert "canary-token" not in everything
    assert "alice" not in everything
    assert other.messages() == []
    assert other.view("session_state").get("username", "") == thief
    if connected:
        assert await alice.round_trip()
    else:
        await alice.open(alice.path)
    assert alice.messages()[0]["text"].startswith("canary-token")


@pytest.mark.parametrize("token", ["", "x" * 5_000, "a&token=b", "%00", "\r\nx: y", "é"])
async def test_odd_tokens_are_as_good_as_any(token: str, open_page: OpenPage) -> None:
    """The token comes from the client and may be anything; it is only ever hashed."""
    page = await open_page("alice", path="")
    page.token = token
    await page.open("/")
    assert await page.round_trip()


async def test_logout_ends_every_tab(open_page: OpenPage, app: AppProcess) -> None:
    """The cookie is refused at once on HTTP and socket; the other tab is out in 5 s."""
    page = await open_page("alice")
    second = await open_page(path="/", jar=page.jar)
    assert second.view("session_state")["username"] == "alice"
    other_login = await open_page("alice")
    cookie = page.cookie
    await page.log_out()
    assert page.cookie == ""

    replay = await open_page(path="")
    replay.cookie = cookie
    async with replay.http("GET", "/") as answer:
        assert (answer.status, answer.headers["location"]) == (303, "/login")
    await replay.open("/")
    assert replay.redirects == ["/login"]
    assert replay.view("session_state").get("username", "") == ""

    await second.wait_for(lambda: second.redirects, LOGOUT_SEEN_S)
    assert second.redirects[0] == "/login?error=session_ended"
    await second.wait_closed(LOGOUT_SEEN_S)
    assert await other_login.round_trip()


async def test_logout_refuses_the_very_next_event(open_page: OpenPage) -> None:
    """An open socket of an ended session gets nothing more, before anybody closes it."""
    page = await open_page("alice")
    await page.ask(question("tokens=3"))
    known = page.dialog_id
    await page.log_out()
    await page.send_event("dialogs_state.rename", dialog_id=known, title="after the logout")
    await page.wait_for(lambda: page.redirects[-1:] != [f"/c/{known}"])
    assert page.redirects[-1].startswith("/login")
    again = await open_page("alice")
    assert "after the logout" not in again.titles()


async def test_a_socket_with_a_duplicate_token_is_logged_out_too(open_page: OpenPage) -> None:
    """A duplicated tab, or one that came back before its old socket was gone: Reflex gives it
    another token, and its end must be seen all the same."""
    page = await open_page("alice")
    twin = await open_page(path="", jar=page.jar)
    twin.token = page.token
    await twin.open("/")
    assert await twin.round_trip()
    await page.drop()
    third = await open_page("", "", jar=page.jar)
    await third.log_out()
    await twin.wait_for(lambda: twin.redirects, LOGOUT_SEEN_S)
    assert twin.redirects[0].startswith("/login")
    await twin.wait_closed(LOGOUT_SEEN_S)


async def test_a_running_answer_is_not_shown_after_the_logout(open_page: OpenPage) -> None:
    """N7. The growing answer stops on the screen; it goes on in the database."""
    page = await open_page("alice")
    await page.begin(question("tokens=400,delay=0.02"))
    await page.wait_for(lambda: page.live_text())
    begin = asyncio.get_running_loop().time()
    await page.log_out()
    await page.wait_closed(LOGOUT_SEEN_S)
    assert page.frames[-1].moment - begin < LOGOUT_SEEN_S


async def test_disabling_an_account_ends_its_tabs(
    open_page: OpenPage, newcomer: tuple[str, str], app_db: Database
) -> None:
    """A disabled user is out within 5 s, on the socket and over HTTP."""
    page = await open_page(path="")
    await page.log_in(*newcomer)
    await page.open("/")
    await Users(app_db).disable(newcomer[0])
    await page.wait_for(lambda: page.redirects, LOGOUT_SEEN_S)
    assert page.redirects[0] == "/login?error=session_ended"
    await page.wait_closed(LOGOUT_SEEN_S)
    async with page.http("GET", "/") as answer:
        assert answer.status == 303
    assert await page.log_in(*newcomer) == "/login?error=wrong_credentials"


async def test_a_new_password_ends_the_old_sessions(
    open_page: OpenPage, newcomer: tuple[str, str], app_db: Database
) -> None:
    """Whoever knew the old password is out."""
    page = await open_page(path="")
    await page.log_in(*newcomer)
    await page.open("/")
    await Users(app_db).set_password(newcomer[0], PASSWORDS["bob"])
    await page.wait_closed(LOGOUT_SEEN_S)


async def test_one_tab_after_another_user(app: AppProcess, open_page: OpenPage) -> None:
    """N7. Another login in the same browser tab, with the same token: a page of his own."""
    page = await open_page("alice")
    await page.ask(question(words="canary-tab"))
    await page.drop()
    before = len(page.frames)
    await page.log_in("bob", PASSWORDS["bob"])
    await page.open("/")
    assert page.view("session_state")["username"] == "bob"
    assert "canary-tab" not in "".join(frame.text for frame in page.frames[before:])


async def test_the_cookie_is_read_as_browsers_send_it(open_page: OpenPage) -> None:
    """Other cookies beside ours, and a huge header, change nobody's identity."""
    page: PageClient = await open_page("alice", path="")
    cookie = page.cookie
    for header, name in (
        (f"a=b; genai_session={cookie}; c=d", "alice"),
        (f"xgenai_session={cookie}", ""),
        (f'genai_session="{cookie}"', "alice"),
        (f"genai_session=x{cookie}", ""),
        (f"pad={'x' * 20_000}; genai_session={cookie}", ""),
    ):
        other = await open_page(path="")
        async with other.http("GET", "/", headers={"Cookie": header}) as answer:
            assert answer.status == (200 if name else 303), header[:40]
