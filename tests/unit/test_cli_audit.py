"""`genai audit`: exit codes and words, for a person and for a nightly job."""

import pytest
import sqlalchemy as sa

from genai_app import migrations
from tests.unit.cli_run import Genai

pytest_plugins = ("tests.unit.cli_fixtures",)


def _tamper(url: str, *statements: str) -> None:
    """As somebody who owns the database."""
    engine = migrations.sync_engine(url)
    off = ["ALTER TABLE audit_events DISABLE TRIGGER USER"]
    if engine.dialect.name == "sqlite":
        off = ["DROP TRIGGER audit_sealed_update", "DROP TRIGGER audit_sealed_delete"]
    with engine.begin() as connection:
        for statement in (*off, *statements):
            connection.execute(sa.text(statement))
    engine.dispose()


def test_what_holds_and_what_does_not(genai: Genai, database_url: str) -> None:
    """One changed byte: exit 1, and the first broken link by its number."""
    for name in ("alice", "bob"):
        genai("user", "add", name, "--password-stdin", typed="pass w0rd\n")
    found = genai("audit", "verify")
    assert (found.returncode, found.stdout) == (
        0,
        "The audit log is intact. Events: 2, none changed or missing.\n",
    )
    _tamper(database_url, "UPDATE audit_events SET target = 'mallory' WHERE seq = 2")
    found = genai("audit", "verify")
    assert found.returncode == 1
    assert "Event no. 2 of " in found.stdout


def test_a_cut_end_is_accepted_for_a_reason_only(genai: Genai, database_url: str) -> None:
    genai("user", "add", "alice", "--password-stdin", typed="pass w0rd\n")
    genai("audit", "verify")
    _tamper(database_url, "DELETE FROM audit_events")
    found = genai("audit", "verify")
    assert found.returncode == 1
    assert "The end of the log was removed" in found.stdout
    assert genai("audit", "accept", "so").returncode == 1
    assert genai("audit", "verify").returncode == 1
    assert genai("audit", "accept", "restored the backup of Monday").returncode == 0
    assert genai("audit", "verify").returncode == 0


@pytest.mark.parametrize("command", [("audit",), ("audit", "accept"), ("audit", "erase")])
def test_misused(genai: Genai, command: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        genai(*command)
    assert caught.value.code == 2
