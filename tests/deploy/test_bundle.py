"""`make bundle` and install.sh: from one archive to a product that answers, without a network."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

from bundle.archive import SUMS, write_sums
from bundle.target import Target
from tests.fakes.app_process import ROOT
from tests.fakes.no_network import isolated

TIMEOUT_S = 300
# what the product must not need, and a bundle must not call
FORBIDDEN = ("node", "npm", "npx", "bun", "git", "uv", "curl", "wget")


def run(*command: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    words = [str(word) for word in command]
    return subprocess.run(
        words,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHON": sys.executable, "HOME": "/", **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that an administrator has after unpacking."""
    output = tmp_path_factory.mktemp("dist")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GENAI")
    }
    made = run(sys.executable, "-m", "bundle", "--output", output, **environment)
    assert made.returncode == 0, made.stderr
    (archive,) = output.glob("genai-*.tar.gz")
    beside = subprocess.run(
        ["sha256sum", "--check", f"{archive.name}.sha256"], cwd=output, check=False
    )
    assert beside.returncode == 0
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
    archive.unlink()
    (folder,) = unpacked.iterdir()
    assert archive.name == f"{folder.name}.tar.gz"
    return folder


@pytest.fixture(scope="module")
def prefix(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it was installed, without a network."""
    return install(bundle, tmp_path_factory.mktemp("opt") / "genai")


def install(bundle: Path, prefix: Path, python: str = sys.executable) -> Path:
    """Without a network, node and bun. What was called all the same is told."""
    decoys = prefix.parent / "decoys"
    decoys.mkdir(exist_ok=True)
    for name in FORBIDDEN:
        decoy = decoys / name
        decoy.write_text(f"#!/bin/sh\necho {name} >> {decoys}/called\nexit 1\n")
        decoy.chmod(0o755)
    done = run(
        *isolated([str(bundle / "install.sh"), str(prefix)]),
        PATH=f"{decoys}:{os.environ['PATH']}",
        PYTHON=python,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (decoys / "called").exists()
    return prefix


def test_it_is_installed_and_answers(prefix: Path) -> None:
    """From the bundle alone, in a namespace without routes."""
    asked = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/deploy/installed.py"]
    done = run(
        *isolated([sys.executable, *asked, "--basetemp", str(prefix.parent / "asked")]),
        INSTALLED_AT=str(prefix),
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "1 passed" in done.stdout


def test_the_command_reads_the_settings_and_keeps_the_directory(
    prefix: Path, tmp_path: Path
) -> None:
    """Files that are named are meant from where one stands; the shell's setting goes first."""
    settings = prefix / ".env"
    assert settings.stat().st_mode & 0o777 == 0o600
    assert f"GENAI_DATA_DIR={prefix}/data\n" in settings.read_text()
    genai = prefix / "bin" / "genai"
    listed = subprocess.run(
        [genai, "user", "list"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, check=False
    )
    assert listed.returncode == 0
    assert (prefix / "data" / "genai.sqlite3").exists()
    assert list(tmp_path.iterdir()) == []
    wrong = run(genai, "user", "list", GENAI_PORT="none")
    assert wrong.returncode == 2
    assert "GENAI_PORT" in wrong.stderr


def test_the_bill_names_every_package(bundle: Path) -> None:
    """CycloneDX, with a licence and a hash of each; the licences' texts are there."""
    bill = json.loads((bundle / "sbom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    components = bill["components"]
    assert all(each["licenses"] and each["hashes"][0]["content"] for each in components)
    python = {each["hashes"][0]["content"] for each in components if "pkg:pypi/" in each["purl"]}
    wheels = {line.split()[0] for line in sums(bundle) if line.endswith(".whl\n")}
    assert python == wheels
    pages = {each["name"] for each in components if "pkg:npm/" in each["purl"]}
    assert {"react", "react-dom", "socket.io-client", "lucide-react"} <= pages
    assert not {"vite", "postcss"} & pages
    texts = {path.name for path in (bundle / "licences").glob("*.txt")}
    assert len(texts) == len(components)
    assert all((bundle / "licences" / name).read_text().strip() for name in texts)


def test_its_wheels_run_on_red_hat_8(bundle: Path, tmp_path: Path) -> None:
    """pip, told that system, resolves all that is pinned from the archive alone; one whose C
    library is older it refuses."""
    about = dict(line.split("=") for line in (bundle / "about").read_text().split())
    target = Target(about["python"], about["platform"])
    assert target.system.startswith("manylinux_2_28_")

    def resolved(system: Target) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--quiet"]
        command += ["--find-links", str(bundle / "wheels"), "--only-binary", ":all:", "--no-deps"]
        command += ["--python-version", system.python, "--implementation", "cp"]
        command += [word for tag in system.tags() for word in ("--platform", tag)]
        command += ["--target", str(tmp_path), "--require-hashes"]
        return run(*command, "--requirement", bundle / "app" / "requirements.txt")

    done = resolved(target)
    assert done.returncode == 0, done.stderr
    older = target.system.replace("_2_28_", "_2_5_")
    assert resolved(Target(target.python, older)).returncode != 0


def test_nothing_of_the_workshop_is_in_it(bundle: Path) -> None:
    """No tests, no tools, no data, no settings of whoever made it."""
    names = [line[66:].strip() for line in sums(bundle)]
    tops = {name.split("/")[1] for name in names if name.startswith("app/")}
    assert not tops & {".env", "data", "tests", "bench", "bundle", ".venv", "node_modules"}
    assert not [name for name in names if "node_modules" in name or name.endswith(".pyc")]


def sums(bundle: Path) -> list[str]:
    return (bundle / SUMS).read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    "which",
    ["wheels/uvicorn-*.whl", "app/genai_app/app.py", "app/.web/build/client/index.html", "about"],
)
def test_one_flipped_byte_is_refused(bundle: Path, tmp_path: Path, which: str) -> None:
    """The file is named, and nothing is installed."""
    (path,) = bundle.glob(which)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    try:
        done = run(bundle / "install.sh", tmp_path / "genai")
    finally:
        path.write_bytes(whole)
    assert done.returncode == 1
    assert f"{path.relative_to(bundle)}: FAILED" in done.stderr
    assert not (tmp_path / "genai").exists()


def test_a_file_too_many_or_too_few_is_refused(bundle: Path, tmp_path: Path) -> None:
    stranger = bundle / "wheels" / "stranger-1.0-py3-none-any.whl"
    stranger.touch()
    try:
        done = run(bundle / "install.sh", tmp_path / "genai")
    finally:
        stranger.unlink()
    assert done.returncode == 1
    assert "wheels/stranger-1.0-py3-none-any.whl" in done.stderr
    kept = (bundle / "about").read_bytes()
    (bundle / "about").unlink()
    try:
        done = run(bundle / "install.sh", tmp_path / "genai")
    finally:
        (bundle / "about").write_bytes(kept)
    assert done.returncode == 1
    assert "about: FAILED" in done.stderr
    assert not (tmp_path / "genai").exists()


LIGHT = shutil.ignore_patterns(
    *("*.whl", ".web", "docs", "licences", "fonts"),
    *("adapters", "api", "components", "pages", "services", "state", "web"),
)


@pytest.fixture
def versions(bundle: Path, tmp_path: Path) -> list[Path]:
    """Three bundles of little more than the command, so that they install in seconds."""
    made: list[Path] = []
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        folder = tmp_path / version
        shutil.copytree(bundle, folder, ignore=LIGHT)
        (folder / "licences").mkdir()
        (folder / "app" / "requirements.txt").write_text("")
        about = (folder / "about").read_text().splitlines(keepends=True)
        (folder / "about").write_text("".join([f"version={version}\n", *about[1:]]))
        write_sums(folder)
        made.append(folder)
    return made


@pytest.fixture
def quick_python(tmp_path: Path) -> str:
    """This Python, whose environments borrow the packages of the tests, pip among them: they are
    there at once."""
    site = sysconfig.get_path("purelib")
    path = tmp_path / "python"
    path.write_text(
        f"""#!/bin/sh
case "$*" in
  *"-m venv "*) "{sys.executable}" -I -m venv --without-pip "$4" &&
    echo "{site}" > "$4/{Path(site).relative_to(sys.prefix)}/borrowed.pth" ;;
  *) exec "{sys.executable}" "$@" ;;
esac
"""
    )
    path.chmod(0o755)
    return str(path)


def test_an_upgrade_keeps_data_settings_and_the_version_before(
    versions: list[Path], quick_python: str, tmp_path: Path
) -> None:
    """And one that fails leaves what was there."""
    prefix = tmp_path / "opt"
    install(versions[0], prefix, quick_python)
    assert at(prefix, "current") == "1.0.0"
    refused = run(prefix / "current" / "install.sh", "--rollback", prefix)
    assert refused.returncode == 1
    (prefix / "data" / "genai.sqlite3").write_text("dear")
    (prefix / ".env").write_text("GENAI_PORT=9000\n")

    requirements = versions[1] / "app" / "requirements.txt"
    requirements.write_text(f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n")
    write_sums(versions[1])
    failed = run(versions[1] / "install.sh", prefix, PYTHON=quick_python)
    assert failed.returncode == 1
    assert "could not be installed" in failed.stderr
    assert at(prefix, "current") == "1.0.0"
    assert [path.name[:5] for path in (prefix / "releases").iterdir()] == ["1.0.0"]

    requirements.write_text("")
    write_sums(versions[1])
    install(versions[1], prefix, quick_python)
    assert (at(prefix, "current"), at(prefix, "previous")) == ("1.1.0", "1.0.0")
    install(versions[1], prefix, quick_python)  # again: nothing is lost by it
    assert (at(prefix, "current"), at(prefix, "previous")) == ("1.1.0", "1.0.0")

    back = run(prefix / "current" / "install.sh", "--rollback", prefix)
    assert back.returncode == 0, back.stderr
    assert (at(prefix, "current"), at(prefix, "previous")) == ("1.0.0", "1.1.0")

    install(versions[2], prefix, quick_python)
    assert (at(prefix, "current"), at(prefix, "previous")) == ("1.2.0", "1.0.0")
    assert len(list((prefix / "releases").iterdir())) == 2
    assert (prefix / "data" / "genai.sqlite3").read_text() == "dear"
    assert (prefix / ".env").read_text() == "GENAI_PORT=9000\n"


def at(prefix: Path, link: str) -> str:
    """The version that `current` or `previous` is."""
    return (prefix / link).resolve().name.partition("-")[0]


def test_another_python_is_refused_by_name(versions: list[Path], tmp_path: Path) -> None:
    about = versions[0] / "about"
    about.write_text(about.read_text().replace("python=3.", "python=4."))
    write_sums(versions[0])
    done = run(versions[0] / "install.sh", tmp_path / "opt")
    assert done.returncode == 1
    assert "the bundle is for 4." in done.stderr
    assert not (tmp_path / "opt").exists()


@pytest.mark.parametrize("words", [[], ["opt"], ["/opt/with space"], ["--help"], ["/a", "/b"]])
def test_misuse_is_told(words: list[str]) -> None:
    done = run(ROOT / "deploy" / "install.sh", *words)
    assert done.returncode == 2
    assert "install.sh: " in done.stderr
