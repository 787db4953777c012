"""What a bundle is made of: for which machine, with which licences, in which bytes."""

import json
import os
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet

from bundle import packages, target
from bundle.archive import SUMS, write_archive, write_sums
from bundle.packages import Package, from_lock, from_wheels
from bundle.sbom import bill
from bundle.target import SUPPORTED, Target, Unfit, default_target, pinned, this_machine
from genai_app.server.build import ROOT

RED_OS = Target("3.11", "manylinux_2_28_x86_64")


def test_the_pythons_are_those_of_the_product() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    every = [f"3.{minor}" for minor in range(8, 20)]
    assert list(SUPPORTED) == [each for each in every if each in SpecifierSet(known)]


@pytest.mark.parametrize(
    ("python", "system", "named"),
    [("3.10", "manylinux_2_28_x86_64", "PYTHON_VERSION"), ("3.11", "red-os", "PLATFORM")],
)
def test_a_target_that_cannot_be_is_told(python: str, system: str, named: str) -> None:
    with pytest.raises(Unfit, match=named):
        Target(python, system)


def test_wheels_of_older_systems_are_taken_and_of_newer_not() -> None:
    tags = RED_OS.tags()
    assert tags[0] == "manylinux_2_28_x86_64"
    assert {"manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"} <= set(tags)
    assert "manylinux_2_29_x86_64" not in tags
    assert this_machine().system in this_machine().tags()


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("manylinux_2_41_x86_64", "manylinux_2_28_x86_64"),
        ("manylinux_2_34_aarch64", "manylinux_2_28_aarch64"),
        ("manylinux_2_17_x86_64", "manylinux_2_17_x86_64"),
        ("macosx_14_0_arm64", "macosx_14_0_arm64"),
    ],
)
def test_by_default_it_runs_on_red_hat_8(
    own: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever newer system makes it: glibc 2.28 is that of Red OS 7.3 and RHEL 8."""
    monkeypatch.setattr(target, "this_machine", lambda: Target("3.11", own))
    assert default_target() == Target("3.11", expected)


def test_conditions_are_tried_against_the_target(tmp_path: Path) -> None:
    """Not against the Python that makes the bundle; what one patch release needs is packed."""
    lines = tmp_path / "requirements.txt"
    lines.write_text(
        "# made by hand\n"
        "always==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "early==1 ; python_full_version < '3.11.3' \\\n    --hash=sha256:cc\n"
        "windows==1 ; sys_platform == 'win32' \\\n    --hash=sha256:dd\n"
    )
    assert list(pinned(lines, RED_OS)) == [
        ("always==1.0", "always==1.0 --hash=sha256:aa --hash=sha256:bb"),
        ("early==1", "early==1 --hash=sha256:cc"),
    ]
    assert [name for name, _ in pinned(lines, Target("3.12", RED_OS.system))] == ["always==1.0"]
    assert Target("3.12", "manylinux_2_28_aarch64").wants(Marker("platform_machine == 'aarch64'"))


def wheel(folder: Path, name: str, *metadata: str, text: str = "Do what you like.") -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        about = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *metadata, ""])
        file.writestr(f"{name}-1.0.dist-info/METADATA", about)
        if text:
            file.writestr(f"{name}-1.0.dist-info/licenses/LICENSE.txt", text)
    return path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("License-Expression: MIT OR Apache-2.0", ("MIT OR Apache-2.0", True)),
        ("License: BSD", ("BSD", False)),
        ("Classifier: License :: OSI Approved :: MIT License", ("MIT License", False)),
    ],
)
def test_a_licence_is_read_from_the_wheel(
    tmp_path: Path, line: str, expected: tuple[str, bool]
) -> None:
    (found,) = from_wheels([wheel(tmp_path, "Some_Thing", line)])
    assert (found.licence, found.is_spdx) == expected
    assert (found.name, found.text) == ("some-thing", "Do what you like.")
    assert found.purl == "pkg:pypi/some-thing@1.0"


def test_a_package_without_a_licence_fails_by_name(tmp_path: Path) -> None:
    """All of them at once."""
    wheels = [
        wheel(tmp_path, "good", "License-Expression: MIT"),
        wheel(tmp_path, "nameless"),
        wheel(tmp_path, "textless", "License-Expression: MIT", text=""),
    ]
    with pytest.raises(Unfit) as error:
        from_wheels(wheels)
    assert "nameless 1.0: no name of its licence" in str(error.value)
    assert "textless 1.0: no text" in str(error.value)
    assert "good" not in str(error.value)


def test_a_part_of_a_project_has_the_licence_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "SAME_PROJECT", {"whole-": "whole"})
    part = wheel(tmp_path, "whole_part", "License-Expression: MIT", text="")
    found = from_wheels([part, wheel(tmp_path, "whole", "License-Expression: MIT")])
    assert {each.text for each in found} == {"Do what you like."}


def test_pages_are_made_of_what_their_imports_need(tmp_path: Path) -> None:
    """Tools of the build are left out; a package within another is found in it."""
    packed = {
        "react": ["react@1.0.0", "", {"dependencies": {"inner": "^2", "@a/b": "1"}}],
        "react/inner": ["inner@2.0.0", "", {}],
        "inner": ["inner@1.0.0", "", {}],
        "@a/b": ["@a/b@1.0.0", "", {"dependencies": {"inner": "^1"}}],
        "vite": ["vite@1.0.0", "", {}],
    }
    modules = tmp_path / "node_modules"
    for place, entry in packed.items():
        entry.append("sha512-AAAA")
        name = str(entry[0]).rpartition("@")[0]
        within = place.removesuffix(name).rstrip("/")
        folder = modules / (f"{within}/node_modules/{name}" if within else name)
        folder.mkdir(parents=True)
        version = str(entry[0]).rpartition("@")[2]
        (folder / "package.json").write_text(json.dumps({"version": version, "license": "MIT"}))
        (folder / "LICENSE").write_text("MIT")
    lock = tmp_path / "bun.lock"
    top = {"dependencies": {"react": "1"}, "devDependencies": {"vite": "1"}}
    text = json.dumps({"workspaces": {"": top}, "packages": packed})
    lock.write_text(text.replace("}}", "},}"))  # as bun writes it
    assert [each.purl for each in from_lock(lock, modules)] == [
        "pkg:npm/%40a/b@1.0.0",
        "pkg:npm/inner@1.0.0",
        "pkg:npm/inner@2.0.0",
        "pkg:npm/react@1.0.0",
    ]
    (modules / "inner" / "package.json").write_text(json.dumps({"version": "1.0.1"}))
    with pytest.raises(Unfit, match=r"inner: built with 1\.0\.1"):
        from_lock(lock, modules)


def folder_of(parent: Path, names: list[str]) -> Path:
    folder = parent / "genai-1"
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    (folder / "run.sh").chmod(0o755)
    return folder


def test_the_same_files_give_the_same_archive(tmp_path: Path) -> None:
    """Whenever they were made, in whatever order, by whom."""
    names = ["b/(section).js", "a-b", "a/б", "run.sh"]
    archives: list[bytes] = []
    for number, order in enumerate((names, names[::-1])):
        folder = folder_of(tmp_path / str(number), order)
        os.utime(folder / "a-b", (number, number))
        (folder / "a-b").chmod(0o600 if number else 0o664)
        write_sums(folder)
        archive = tmp_path / f"{number}.tar.gz"
        write_archive(folder, archive)
        archives.append(archive.read_bytes())
        checked = subprocess.run(
            ["sha256sum", "--check", "--strict", SUMS], cwd=folder, check=False
        )
        assert checked.returncode == 0
    assert archives[0] == archives[1]


def test_the_bill_is_the_same_for_the_same_packages() -> None:
    some = Package("npm", "@a/b", "1.0", "MIT", True, "text", "SHA-512", "00")
    first = bill("1.0", [some])
    assert first == bill("1.0", [some])
    assert first != bill("1.1", [some])
    (component,) = json.loads(first)["components"]
    assert (component["group"], component["name"]) == ("@a", "b")
    assert component["purl"] == "pkg:npm/%40a/b@1.0"
