"""A child that reads files can do nothing else, even when a parser runs somebody else's code."""

import json
from pathlib import Path
from typing import Any

import pytest

from genai_app.adapters.documents.examination import ReadingAbilities, examine_reading
from genai_app.adapters.documents.reading import ROOT, run_child
from genai_app.services.doctor.files import check_files

ATTEMPTS = """
import ctypes, json, os, signal, socket, subprocess, sys
job = json.load(sys.stdin)
sys.path.insert(0, job["root"])
from genai_app.adapters.documents.child.confinement import confine
libc = ctypes.CDLL(None, use_errno=True)
open_before = sorted(os.listdir("/proc/self/fd"))
writable = [job["target"], "/dev/null"]
lacking = confine(["/usr", "/lib", sys.base_prefix], writable, programs=job["programs"])

def attempt(call):
    try:
        call()
    except BaseException as error:
        return type(error).__name__
    return "done"

def sys_call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")

results = {
    "tcp": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
    "udp": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "unix": attempt(lambda: socket.socket(socket.AF_UNIX)),
    "pair": attempt(socket.socketpair),
    "kill": attempt(lambda: os.kill(job["parent"], 0)),
    "session": attempt(os.setsid),
    "fork": attempt(os.fork) if not job["programs"] else "",
    "program": attempt(lambda: subprocess.run(["/usr/bin/env"], stdout=-3, check=True)),
    "secret": attempt(lambda: open(job["secret"]).read()),
    "passwd": attempt(lambda: open("/etc/passwd").read()),
    "write": attempt(lambda: open(job["elsewhere"], "w")),
    "own": attempt(lambda: open(job["target"] + "/own", "w")),
    "thread": attempt(lambda: __import__("threading").Thread(target=int).start()),
}
json.dump(
    {"lacking": lacking, "results": results, "environment": dict(os.environ), "open": open_before},
    open(job["target"] + "/result", "w"),
)
"""


async def attempts(tmp_path: Path, *, programs: bool) -> dict[str, Any]:
    """What a child could do after it was confined."""
    target = tmp_path / "target"
    target.mkdir()
    secret = tmp_path / "secret"
    secret.write_text("key")
    job = {
        **{"root": str(ROOT), "target": str(target), "secret": str(secret)},
        **{"elsewhere": str(tmp_path / "elsewhere"), "parent": 1, "programs": programs},
    }
    status = await run_child(ATTEMPTS, json.dumps(job).encode(), target, 30)
    assert status == 0
    return json.loads((target / "result").read_text())


@pytest.mark.parametrize("programs", [False, True])
async def test_a_child_has_no_network_and_no_other_process(programs: bool, tmp_path: Path) -> None:
    done = await attempts(tmp_path, programs=programs)
    results = done["results"]
    assert "seccomp" not in done["lacking"]
    for name in ("tcp", "udp", "unix", "pair", "kill", "session"):
        assert results[name] == "PermissionError", name
    assert results["program"] == ("done" if programs else "PermissionError")
    assert results["fork"] == ("" if programs else "PermissionError")
    assert results["own"] == results["thread"] == "done"
    # nothing of the server is inherited: neither its settings nor its descriptors
    assert set(done["environment"]) <= {"PATH", "LC_ALL", "OMP_THREAD_LIMIT", "LC_CTYPE"}
    assert len(done["open"]) <= 4


async def test_a_child_reads_no_other_file(tmp_path: Path) -> None:
    """Where the kernel has Landlock; elsewhere `genai doctor` says that it has not."""
    done = await attempts(tmp_path, programs=False)
    expected = "done" if "landlock" in done["lacking"] else "PermissionError"
    for name in ("secret", "passwd", "write"):
        assert done["results"][name] == expected, name


async def test_what_the_machine_can_do_is_told() -> None:
    abilities = await examine_reading()
    assert abilities.network_closed
    assert abilities.system.startswith("linux")


@pytest.mark.parametrize(
    ("network", "files", "ocr", "expected"),
    [
        (True, True, True, [("ok", None), ("ok", None)]),
        (True, False, True, [("warning", "reader_open"), ("ok", None)]),
        (False, False, False, [("warning", "reader_online"), ("skipped", None)]),
    ],
)
async def test_the_doctor_says_what_a_child_keeps(
    network: bool,
    files: bool,
    ocr: bool,
    expected: list[tuple[str, str | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def examine() -> ReadingAbilities:
        return ReadingAbilities(network, files, ocr, "linux 4.18")

    monkeypatch.setattr("genai_app.services.doctor.files.examine_reading", examine)
    assert [(each.outcome, each.cause) for each in await check_files()] == expected
