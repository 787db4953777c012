"""What is installed is what was looked at."""

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from genai_app.server.build import ROOT

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
    """Nothing else can be installed in its place, from whatever index."""
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


def test_extras_that_one_package_wants_of_another_are_pinned_too() -> None:
    """Pip takes `granian[reload]` for another package than a pinned `granian`: it would take
    the newest, and refuse it for want of a hash."""
    locked = (
        Requirement(re.split(" --hash=", line)[0])
        for name in ("requirements.txt", "requirements-dev.txt")
        for line in requirements((ROOT / name).read_text())
    )
    pinned: dict[str, set[str]] = {canonicalize_name(each.name): each.extras for each in locked}
    wanted: set[tuple[str, str]] = set()
    for distribution in metadata.distributions():
        if canonicalize_name(distribution.name) not in pinned:
            continue
        for each in map(Requirement, distribution.requires or ()):
            if each.marker is None or each.marker.evaluate({"extra": ""}):
                wanted |= {(canonicalize_name(each.name), extra) for extra in each.extras}
    assert wanted
    assert {(name, extra) for name, extra in wanted if extra not in pinned[name]} == set()


def test_every_list_of_wishes_is_locked() -> None:
    wishes = {path.stem for path in ROOT.glob("requirements*.in")}
    assert wishes == {name.removesuffix(".txt") for name in LOCKED}


def test_a_new_version_waits_a_week() -> None:
    """A stolen package is mostly found within days: `make lock` takes none that young."""
    makefile = (ROOT / "Makefile").read_text()
    (compile_,) = re.findall(r"^COMPILE = ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert "--generate-hashes" in compile_
    assert re.search(r"--exclude-newer \"\$\(shell date -u -d '7 days ago'", compile_)
    (lock,) = re.findall(r"^lock:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert "uv pip compile" not in lock.replace("$(COMPILE)", "")
    assert lock.count("$(COMPILE)") == lock.count(".txt")
