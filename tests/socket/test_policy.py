"""Who may call which handler over the raw socket."""

import inspect
import re
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import AuditEvent, Dialog, Feedback, Message, Role, Status, VerifiedAnswer
from genai_app.rights import NEEDED_ROLES, PUBLIC_HANDLERS
from genai_app.services.accounts.users import Users
from genai_app.web.policy import FRAMEWORK_HANDLERS, short_name
from tests.cast import PASSWORDS
from tests.conftest import OpenPage, StartApp
from tests.fakes import handlers
from tests.fakes.app_process import AppProcess, eventually
from tests.fakes.log_lines import LogMark
from tests.fakes.model_server import ModelServer
from tests.fakes.page_client import PageClient
from tests.fakes.questions import asked, question

handlers.registered()  # imports the States, whose handlers declare their rights
PUBLIC = FRAMEWORK_HANDLERS | PUBLIC_HANDLERS
ALLOWED = sorted(PUBLIC | set(NEEDED_ROLES))
OURS = sorted(NEEDED_ROLES)
# frames of round trips, of which one may come late, and the server's beats
NOISE = re.compile(
    r'"delta":\{"[^"]*(ui_state":\{"sidebar_open|tab_state":\{"beat)[^"]*":"?\w+"?\}\}\}\]$'
)
NOBODYS = "00000000-0000-7000-8000-000000000000"
ODD: list[Any] = [
    *(None, 0, -1, 1.5, True, 10**400, "", "\x00", "../../x", "x" * 100_000, NOBODYS),
    *([], {}, [[1]] * 1000, {"a": {"b": ["c"] * 100}}, {"$ne": None}),
]


def arguments(name: str) -> list[str]:
    """The names of a handler's arguments."""
    function = handlers.registered()[handlers.full_name(name)].handler.fn
    return [each for each in inspect.signature(function).parameters if each != "self"]


def plausible(name: str, /, **given: Any) -> dict[str, Any]:
    """Arguments of the right types."""
    values: dict[str, Any] = {"text": "hello", "length": 5, "title": "mine", "locale": "ru"}
    values |= {"value": True, "vars": {}, "hashes": [], "info": "x", "component_stack": "y"}
    values |= {"format": "md", "kind": "dialogs", "form": {"since": "2026-11-25"}}
    values |= {"messenger": "telegram", "link_id": NOBODYS}
    values |= {"username": "ivanov", "name": "mine", "days": "no number"}  # a key is made elsewhere
    values |= {"role": "user", "department": "x"}
    values |= {"rating": "down", "reason": "wrong", "which": "due", "place": "new"}
    values["form"] = {"question": "", "answer": "", "review_by": "", "message_id": "new"}
    values |= {"verdict": "good", "step": 1, "key": "j", "wanted": "yes"}
    values |= {"pinned": True, "archived": True, "section": "days", "variant": "shorter"}
    ids = ("user", "verified", "export", "dialog", "answer", "message", "send", "key", "session")
    values |= {"file_ids": [NOBODYS], "files": [NOBODYS], "page": 1}
    ids = (*ids, "question", "folder", "import", "file")
    values |= {f"{each}_id": NOBODYS for each in ids}
    return {each: (values | given)[each] for each in arguments(name)}


async def rows(db: Database) -> list[tuple[Any, ...]]:
    """Everything that users and reviewers write, to be compared: once no answer of an earlier test
    is being written any more."""

    async def nothing_runs() -> bool:
        running = sa.select(col(Message.id)).where(col(Message.status) == Status.RUNNING)
        async with db.read() as session:
            return await session.scalar(running.limit(1)) is None

    await eventually(nothing_runs, within_s=60)
    async with db.read() as session:
        found: list[tuple[Any, ...]] = []
        for table in (Dialog, Message, Feedback, VerifiedAnswer):
            found += [tuple(row) for row in await session.execute(sa.select(*sa.inspect(table).c))]
    return sorted(found, key=repr)


def test_every_handler_is_public_or_needs_a_role_or_is_refused() -> None:
    """A new handler that nobody thought about fails here; so does an entry without one."""
    registered = [short_name(full) for full in handlers.registered()]
    assert len(set(registered)) == len(registered), "two handlers under one short name"
    unknown = {name for name in registered if name not in ALLOWED}
    # Reflex puts it on every State; the policy refuses it
    assert {name for name in unknown if not name.endswith(".setvar")} == set()
    assert set(ALLOWED) <= set(registered)
    assert PUBLIC.isdisjoint(NEEDED_ROLES)


def test_no_setter_is_registered() -> None:
    """Nothing but Reflex's own `set_is_hydrated` sets a var by name."""
    setters = {name.rpartition(".")[2] for name in handlers.registered()}
    assert {name for name in setters if name.startswith("set_")} == {"set_is_hydrated"}


async def test_nobody_calls_what_needs_a_login(
    open_page: OpenPage, app_db: Database, model: ModelServer
) -> None:
    """An anonymous socket is sent to the login by every handler that is not public."""
    page = await open_page(path="/login")
    before, calls = await rows(app_db), len(model.answers)
    for full in handlers.registered():
        name = short_name(full)
        if name in PUBLIC:
            continue
        page.redirects.clear()
        given = {} if name.endswith(".setvar") else plausible(name)
        await page.emit(full, given)
        if name not in NEEDED_ROLES:  # dropped at the door: the only answer is that of the next one
            await page.send_event("ui_state.toggle_sidebar")
        await page.wait_for(lambda: page.redirects)
        assert page.redirects == ["/login"], name
    assert page.messages() == []
    assert page.titles() == []
    assert page.view("session_state")["username"] == ""
    assert await rows(app_db) == before
    assert len(model.answers) == calls


async def test_public_handlers_tell_nobody_anything(open_page: OpenPage) -> None:
    """Neither Reflex's own handlers nor the login page's bring a name or a dialog."""
    page = await open_page("alice")
    await page.ask(question(words="canary-public"))
    page.cookie = ""
    stranger = await open_page(path="/login")
    for name in sorted(PUBLIC):
        await stranger.send_event(name, **plausible(name))
    await stranger.send_event("ui_state.choose_locale", locale="en")
    await stranger.wait_for(lambda: stranger.view("ui_state").get("locale") == "en")
    everything = "".join(frame.text for frame in stranger.frames)
    assert "canary-public" not in everything
    assert "alice" not in everything


async def test_users_call_nothing_of_administrators(
    open_page: OpenPage, app: AppProcess, app_db: Database
) -> None:
    """Refused and audited, the page never opened; whoever opens it is sent home."""
    page = await open_page("bob")
    log = LogMark(app)
    names = sorted(name for name, role in NEEDED_ROLES.items() if role is not Role.USER)
    for name in names:
        await page.send_event(name, **plausible(name))
    await page.round_trip()
    for name in names:
        assert f'"handler": "{name}"' in log.text()
    async with app_db.read() as session:
        events = await session.scalars(
            sa.select(AuditEvent).where(
                col(AuditEvent.action) == "access", col(AuditEvent.actor_name) == "bob"
            )
        )
        assert {event.target for event in events} >= set(names)
    assert page.view("admin_state")["loaded"] is False
    assert page.view("review_dialog_state")["loaded"] is False
    for path in ("/admin", "/admin/dialogs", "/admin/exports"):
        other = await open_page("bob", path="")
        await other.open(path)
        assert other.redirects == ["/"], path
    carol = await open_page("carol", "/admin")
    assert carol.view("admin_state")["loaded"] is True


async def test_disabled_users_call_nothing(
    open_page: OpenPage, newcomer: tuple[str, str], app_db: Database, model: ModelServer
) -> None:
    """A session of an account that was disabled is nobody's at the next event."""
    dan = await open_page(path="")
    assert await dan.log_in("dan", PASSWORDS["dan"]) == "/login?error=wrong_credentials"
    page = await open_page(path="")
    await page.log_in(*newcomer)
    await page.open("/")
    before, calls = await rows(app_db), len(model.answers)
    page.redirects.clear()  # before the account is shut: the watch may be the first to act on it
    await Users(app_db).disable(newcomer[0])
    with suppress(ConnectionError):  # the watch over sessions may close the socket before the end
        for handler in OURS:
            await page.send_event(handler, **plausible(handler))
    await page.wait_for(lambda: page.closed or len(page.redirects) >= len(OURS))
    assert {path.partition("?")[0] for path in page.redirects} == {"/login"}
    assert await rows(app_db) == before
    assert len(model.answers) == calls


@pytest.mark.parametrize("handler", [name for name in OURS if arguments(name)])
async def test_a_stranger_gets_the_answer_of_an_id_that_never_was(
    handler: str, open_page: OpenPage, app_db: Database
) -> None:
    """Bob with Alice's ids, in every handler that takes one: her rows stay as they are."""
    alice = await open_page("alice")
    text = question(words="canary-alice")
    answer = await alice.ask(text)
    hers = {"dialog_id": alice.dialog_id, "answer_id": answer["id"], "message_id": answer["id"]}
    bob = await open_page("bob")
    before = await rows(app_db)
    answers: list[list[str]] = []
    for ids in ({}, hers):
        await bob.round_trip()
        begin = len(bob.frames)
        await bob.send_event(handler, **plausible(handler, **{"send_id": "no id", **ids}))
        await bob.round_trip()
        await bob.round_trip()  # both ends are the same, whatever the first one toggled
        if handler == "dialog_export_state.start":  # goes on behind the events that follow it
            await bob.wait_for(lambda: bob.view("dialog_export_state").get("error_code"))
        told = [each.text for each in bob.frames[begin:] if not NOISE.search(each.text)]
        known = "|".join([NOBODYS, *hers.values(), r'(?<="saves_rx_state_":)\d+'])  # a count
        answers.append([re.sub(known, "ID", text) for text in told])
        for name in ("dialogs_state", "chat_state", "dialog_export_state"):
            bob.view(name).pop("error_code", None)
        await bob.send_event("chat_state.dismiss_error")
        await bob.round_trip()
        await bob.open("/")
    assert sorted(answers[0]) == sorted(answers[1])
    assert "canary-alice" not in "".join(frame.text for frame in bob.frames)
    assert await rows(app_db) == before


async def test_a_stranger_opens_a_dialog_as_if_it_never_was(open_page: OpenPage) -> None:
    """/c/{id} of somebody else, of nobody, and of nonsense: one sentence, no text, no title."""
    alice = await open_page("alice")
    await alice.ask(question(words="canary-page"))
    bob = await open_page("bob")
    seen: list[dict[str, Any]] = []
    for key in (alice.dialog_id, NOBODYS, "nonsense", alice.dialog_id.upper()):
        await bob.open(f"/c/{key}")
        seen.append(dict(bob.view("chat_state"), send_id=""))
    assert all(each == seen[0] for each in seen)
    assert seen[0]["error_code"] == "dialog_not_found"
    assert seen[0]["messages"] == []
    assert "canary-page" not in "".join(frame.text for frame in bob.frames)


async def test_a_stranger_stops_and_continues_nothing(
    open_page: OpenPage, model: ModelServer
) -> None:
    """With Alice's dialog in his address, Bob stops nothing there and adds nothing to it."""
    alice = await open_page("alice")
    answer = await alice.begin(question("tokens=30,delay=0.02"))
    bob = await open_page("bob", f"/c/{alice.dialog_id}")
    await bob.send_event("conversation_state.stop", answer_id=answer["id"])
    await bob.send_event("paging_state.load_older")
    text = question()
    await bob.send(text)
    await bob.wait_for(lambda: bob.error_code == "not_found")
    assert bob.messages() == []
    assert asked(model, text) == []
    await alice.wait_for(lambda: not alice.running)
    assert alice.messages()[-1]["status"] == "complete"
    assert len(alice.messages()) == 2


STATES = ("session_state", "chat_state", "dialogs_state", "ui_state", "limit_state")
STATES += ("feedback_state", "search_state", "verified_state", "verified_form_state")
STATES += ("settings_state", "keys_state", "logins_state", "admin_state", "directory_state")
STATES += ("review_list_state", "review_dialog_state", "review_keys_state", "readers_state")
STATES += ("messengers_state", "review_file_state")
STATES += ("exports_state", "dialog_export_state", "tab_state")
STATES += ("folders_state", "undo_state", "palette_state")


@pytest.mark.parametrize("state", STATES)
async def test_vars_cannot_be_set(state: str, open_page: OpenPage) -> None:
    """`setvar`, `set_*` and update_vars_internal change nothing that we decide by."""
    page = await open_page("alice")
    await page.round_trip()
    before = dict(page.view(state))
    full = handlers.state_name(state)
    for var, old in before.items():
        if var in ("send_id", "locale_cookie", "sidebar_open"):
            continue  # the browser's own, by design; nothing is decided by them
        evil = {str: "evil", bool: True, int: 7, list: [], dict: {"evil": "x"}}[type(old)]
        await page.emit(f"{full}.setvar", {"var_name": var, "value": evil})
        await page.emit(f"{full}.set_{var}", {"value": evil})
        vars_ = {f"{full}.{var}_rx_state_": evil}
        await page.send_event("update_vars_internal_state.update_vars_internal", vars=vars_)
        await page.send_event("state.hydrate_and_load", vars=vars_)
    await page.round_trip()
    await page.round_trip()
    after = dict(page.view(state))
    for each in (before, after):
        each.pop("sidebar_open", None)
        each.pop("send_id", None)
    assert after == before


async def test_methods_that_are_no_events_cannot_be_called(
    open_page: OpenPage, app: AppProcess
) -> None:
    """Underscore names, Python's and Reflex's methods, and nonsense: nothing, no trace."""
    page = await open_page("alice")
    await page.ask(question("tokens=3"))
    before = page.messages()
    log = LogMark(app)
    full = handlers.state_name("chat_state")
    methods = ("_show", "_show_nothing", "_after", "reset", "get_state", "dict", "__init__", "")
    names = [f"{full}.{method}" for method in methods]
    for name in [*names, "", "x", ".", "a" * 10_000, None, 5, {}, [], full]:
        await page.emit(name, {"dialog_id": NOBODYS, "text": "canary-prompt"})  # type: ignore[arg-type]
        await page.round_trip()
    assert page.messages() == before
    assert "canary-prompt" not in log.text()
    assert log.bugs() == []


@pytest.mark.parametrize("name", ALLOWED)
async def test_any_argument_is_survived(
    name: str, open_page: OpenPage, app: AppProcess, app_db: Database
) -> None:
    """Wrong types, huge values, missing and unknown arguments: no bug in the log, and the same
    socket goes on."""
    page = await open_page("alice")
    log = LogMark(app)
    payloads: list[Any] = [None, 5, "x", [], {"unknown": 1}, plausible(name) | {"unknown": 1}]
    for argument in arguments(name):
        payloads += [plausible(name) | {argument: value} for value in ODD]
        payloads.append({key: v for key, v in plausible(name).items() if key != argument})
    if name == "conversation_state.send":  # what is right is sent elsewhere
        payloads = [each for each in payloads if each != plausible(name)]
    for payload in payloads:
        await page.emit(handlers.full_name(name), payload)
        await settled(page)
    assert log.bugs() == []


async def test_lone_surrogates_do_not_break_the_socket(open_page: OpenPage) -> None:
    """What UTF-8 cannot hold comes in as a JSON escape and must not go out again."""
    page = await open_page("alice")
    for name in OURS:
        for argument in arguments(name):
            await page.send_event(name, **plausible(name, **{argument: "\ud800"}))
            await settled(page)


async def test_one_bad_event_is_one_error(start_app: StartApp, open_page: OpenPage) -> None:
    """What the page is told of a failed event must not fail again, and again: one packet of an
    anonymous client would keep the process busy for ever."""
    app = start_app()
    page = await open_page(path="/login", at=app)
    log = LogMark(app)
    name = handlers.full_name("login_state.load")
    await page.emit(name, {}, router_data={"pathname": "/", "asPath": ["a"]})
    before = 0.0
    for _ in range(20):  # other pages work meanwhile, and nothing goes on behind them
        other = await open_page(path="/login", at=app)
        await other.drop()
        before = before or app.cpu_s()
    assert len(log.text().splitlines()) < 60
    assert app.cpu_s() - before < 1.5


async def test_frames_that_no_page_sends_are_survived(
    open_page: OpenPage, start_app: StartApp
) -> None:
    """Packets of other kinds, half JSON, no event at all: nothing of it is logged."""
    app = start_app()
    page = await open_page("alice", at=app)
    log = LogMark(app)
    packets = ["42/_event,[]", "42/_event,5", '42/_event,["event"]', '42/_event,["event",5]']
    packets += ['42/_event,["event",{"password":"canary-frame"}]', "42/_event,{", "43/_event,1[]"]
    packets += ['42/_event,["ping"]', '42/_event,["nothing","canary-frame"]', "45-/_event,[]", "9"]
    packets += ["4", "42/other,[]", '42/_event,["client_error",{"message":"canary-frame"}]']
    for packet in packets:
        await page.send_raw(packet)
        await settled(page)
    routers = [None, 5, {"pathname": 5}, {"pathname": "/", "asPath": ["a"]}, {"query": 5}]
    routers += [{"query": {"splat": each}} for each in (5, "a", [5], {"a": "b"})]
    for router in routers:
        await page.emit(handlers.full_name("conversation_state.open"), {}, router_data=router)
        await settled(page)
    assert log.bugs() == []
    assert "canary-frame" not in log.text()


async def test_a_client_cannot_fill_the_log(open_page: OpenPage, app: AppProcess) -> None:
    """Reports of browser errors are for the operator: few and short, whoever sends them."""
    page = await open_page(path="/login")
    log = LogMark(app)
    report = "frontend_event_exception_state.handle_frontend_exception"
    for _ in range(100):
        await page.send_event(report, info="x" * 50_000, component_stack="")
    await page.send_event("ui_state.choose_locale", locale="en")
    await page.wait_for(lambda: page.view("ui_state").get("locale") == "en")
    assert len(log.text()) < 100_000


async def settled(page: PageClient) -> None:
    """What was sent is done, and the socket lives."""
    await page.round_trip()
