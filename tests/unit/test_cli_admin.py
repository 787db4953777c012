"""`genai export`, `retention`, `hold`, `erase`, as the operator types them."""

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from genai_app.db.database import Database
from genai_app.models import Role
from tests.unit.cli_run import Genai, Result
from tests.unit.exporting import events, person, put_talk

pytest_plugins = ("tests.unit.cli_fixtures",)

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(genai: Genai) -> Run:
    """`genai`, beside the loop of the test: a command has one of its own."""
    return lambda *command: asyncio.to_thread(genai, *command)


async def test_export(run: Run, db: Database, tmp_path: Path) -> None:
    """A file of the operator's own, audited as the command line's."""
    alice = await person(db, "alice", department="Legal")
    await put_talk(db, alice, "q-alice", "=1+1")
    await put_talk(db, await person(db, "bob"), "q-bob", "a")
    out = tmp_path / "all.csv"
    done = await run("export", "dialogs", "--format", "csv", "--out", str(out), "--user", "alice")
    assert (done.returncode, done.stdout) == (0, f"2\t{out}\n")
    rows = list(csv.DictReader(io.StringIO(out.read_bytes().decode("utf-8-sig")), delimiter=";"))
    assert [row["text"] for row in rows] == ["q-alice", "'=1+1"]
    assert out.stat().st_mode & 0o777 == 0o600
    (begun,) = await events(db, "export")
    assert (begun.actor_name, begun.target, begun.subject_id) == (
        *("command line", "alice"),
        alice.user_id,
    )
    assert begun.details == "kind=dialogs format=csv"


@pytest.mark.parametrize(("kind", "format_"), [("dialogs", "pdf"), ("verified", "jsonl")])
async def test_other_formats(run: Run, tmp_path: Path, kind: str, format_: str) -> None:
    out = tmp_path / f"x.{format_}"
    assert (await run("export", kind, "--format", format_, "--out", str(out))).returncode == 0
    assert out.stat().st_size > 0 or kind == "verified"
    assert not out.with_name(f"{out.name}.part").exists()


@pytest.mark.parametrize(
    "more",
    [
        ("--out", "there.csv"),
        ("--out", "no/such/x.csv"),
        ("--out", "x.csv", "--since", "soon"),
        ("--out", "x.csv", "--state", "odd"),
        ("--out", "x.csv", "--user", "nobody"),
    ],
)
async def test_export_fails(run: Run, tmp_path: Path, more: tuple[str, ...]) -> None:
    """Exit code 1, one sentence, and the file that was there as it was."""
    (tmp_path / "there.csv").write_text("mine")
    done = await run("export", "dialogs", "--format", "csv", *more)
    assert done.returncode == 1
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert not (tmp_path / "x.csv").exists()


async def test_review_mode_counts_here_too(
    run: Run, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_talk(db, await person(db, "alice"), "q", "a")
    monkeypatch.setenv("GENAI_REVIEW_MODE", "pseudonymous")
    assert (await run("export", "dialogs", "--out", str(tmp_path / "x.jsonl"))).returncode == 0
    assert "alice" not in (tmp_path / "x.jsonl").read_text().lower()
    monkeypatch.setenv("GENAI_REVIEW_MODE", "off")
    assert (await run("export", "dialogs", "--out", str(tmp_path / "y.jsonl"))).returncode == 1


async def test_retention_and_hold(run: Run, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_RETENTION_DAYS", "1")
    dialog = await put_talk(db, await person(db, "alice"), "q", "a")  # of some weeks ago
    await put_talk(db, await person(db, "bob"), "q", "a")
    told = "dialogs\t{}\nmessages\t{}\ndeleted_dialogs\t0\nheld\t{}\nfiles\t0\n"
    assert (await run("retention", "--dry-run")).stdout == told.format(2, 4, 0)
    assert (await run("hold", "user", "Bob")).returncode == 0
    assert (await run("hold", "dialog", str(dialog))).returncode == 0
    assert (await run("retention")).stdout == told.format(0, 0, 2)
    assert (await run("hold", "user", "bob", "--release")).returncode == 0
    assert (await run("retention")).stdout == told.format(1, 2, 1)
    assert (await run("hold", "dialog", str(dialog), "--release")).returncode == 0
    assert (await run("retention")).stdout == told.format(1, 2, 0)
    assert {row.actor_name for row in await events(db, "retention", "hold")} == {"command line"}
    for command in (("hold", "user", "nobody"), ("hold", "dialog", "x")):
        assert (await run(*command)).returncode == 1


async def test_erase(run: Run, db: Database) -> None:
    """It asks for --yes, prints the receipt, and is refused under hold."""
    alice = await person(db, "alice", Role.ADMIN)
    await put_talk(db, alice, "q", "a")
    await run("hold", "user", "alice")
    refused = await run("erase", "alice", "--yes")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "genai hold" in refused.stderr
    await run("hold", "user", "alice", "--release")
    done = await run("erase", "alice", "--yes")
    assert done.returncode == 0
    receipt = json.loads(done.stdout)
    assert receipt["user_id"] == str(alice.user_id)
    assert (receipt["tables"]["dialogs"], receipt["tables"]["messages"]) == (1, 2)
    assert (await run("erase", "alice", "--yes")).returncode == 1
    assert json.loads((await run("erase", str(alice.user_id), "--yes")).stdout)["already"] is True
