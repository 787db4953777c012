"""F7: what is installed is what was looked at."""

import re

import pytest

from genai_app.build import ROOT

LOCKED = sorted(path.name for path in ROOT.glob("requirements*.txt"))
PINNED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w,-]+\])?==\d[\w.!+]*( ; [^\\]+)?")
HASHED = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def requirements(text: str) -> list[str]:
    """Each requirement with its options, on one line."""
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def is_locked(line: str) -> bool:
    what, *hashes = re.split(r" (?=--hash=)", line)
    return bool(
        PINNED.fullmatch(what) and hashes and all(HASHED.fullmatch(each) for each in hashes)
    )


@pytest.mark.parametrize("name", LOCKED)
def test_each_requirement_has_one_version_and_its_hashes(name: str) -> None:
    """F7. Nothing else can be installed in its place, from whatever index."""
    found = requirements((ROOT / name).read_text())
    assert found
    assert [line for line in found if not is_locked(line)] == []


def test_what_is_not_locked_is_seen() -> None:
    good = f"attrs==25.4.0 --hash=sha256:{'0' * 64}"
    assert is_locked(good)
    for bad in (
        "attrs==25.4.0",
        good.replace("==", ">="),
        good.replace("25.4.0", "25.*"),
        good.replace("sha256", "md5"),
        good[:-1],
        f"attrs @ https://example.test/attrs.whl --hash=sha256:{'0' * 64}",
        "-e .",
        "--extra-index-url https://example.test",
    ):
        assert not is_locked(bad), bad


def test_every_list_of_wishes_is_locked() -> None:
    wishes = {path.stem for path in ROOT.glob("requirements*.in")}
    assert wishes == {name.removesuffix(".txt") for name in LOCKED}


def test_a_new_version_waits_a_week() -> None:
    """F7. A stolen package is mostly found within days: `make lock` takes none that young."""
    makefile = (ROOT / "Makefile").read_text()
    (compile_,) = re.findall(r"^COMPILE = ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert "--generate-hashes" in compile_
    assert re.search(r"--exclude-newer \"\$\(shell date -u -d '7 days ago'", compile_)
    (lock,) = re.findall(r"^lock:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert "uv pip compile" not in lock.replace("$(COMPILE)", "")
    assert lock.count("$(COMPILE)") == lock.count(".txt")
