"""For which Python on which machine a bundle is made, in the words of pip."""

import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.tags import platform_tags

SUPPORTED = ("3.11", "3.12", "3.13")  # pyproject.toml; a test compares
# older names of some of these platforms, which wheels still carry
LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
OLDEST_GLIBC = 5
DEFAULT_GLIBC = 28  # of RHEL 8 and what is made of it; every later system runs those wheels too


class Unfit(Exception):
    """A bundle cannot be made of what is there; the text is for whoever makes it."""


@dataclass(frozen=True)
class Target:
    """`python` is "3.11"; `system` a platform tag of wheels, such as "manylinux_2_28_x86_64"."""

    python: str
    system: str

    def __post_init__(self) -> None:
        if self.python not in SUPPORTED:
            raise Unfit(f"PYTHON_VERSION: {self.python} is none of {', '.join(SUPPORTED)}")
        if not re.fullmatch(
            r"(manylinux_2_\d+|musllinux_1_\d+|macosx_\d+_\d+)_[a-z0-9_]+", self.system
        ):
            raise Unfit(f"PLATFORM: {self.system} is no platform such as manylinux_2_28_x86_64")

    @property
    def name(self) -> str:
        return f"py{self.python}-{self.system}"

    def tags(self) -> list[str]:
        """The platforms whose wheels run there: with glibc 2.28 those for every older one too."""
        found = re.fullmatch(r"manylinux_2_(\d+)_(\w+)", self.system)
        if not found:
            return [self.system]
        machine = found[2]
        tags: list[str] = []
        for minor in range(int(found[1]), OLDEST_GLIBC - 1, -1):
            tags.append(f"manylinux_2_{minor}_{machine}")
            if minor in LEGACY:
                tags.append(f"{LEGACY[minor]}_{machine}")
        return tags

    def wants(self, marker: Marker | None) -> bool:
        """Whether some patch release of this Python, on such a system, meets the condition."""
        if marker is None:
            return True
        linux = not self.system.startswith("macosx")
        machine = re.sub(r"^[a-z]+_\d+_\d+_", "", self.system)
        environment = {**default_environment(), "python_version": self.python}
        environment |= {
            "platform_machine": machine,
            "sys_platform": "linux" if linux else "darwin",
            "platform_system": "Linux" if linux else "Darwin",
        }
        return any(
            marker.evaluate({**environment, "python_full_version": f"{self.python}.{patch}"})
            for patch in range(30)
        )


def this_machine() -> Target:
    """The Python that runs now, and the newest platform whose wheels it takes."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    own = [tag for tag in platform_tags() if not tag.startswith("linux_")]
    return Target(python, own[0] if own else f"{platform.system()}_{platform.machine()}".lower())


def default_target() -> Target:
    """Returns this machine, with the C library of the oldest system that is supported."""
    own = this_machine()
    system = re.sub(
        r"^manylinux_2_(\d+)_",
        lambda glibc: f"manylinux_2_{min(int(glibc[1]), DEFAULT_GLIBC)}_",
        own.system,
    )
    return Target(own.python, system)


def pinned(path: Path, target: Target) -> Iterator[tuple[str, str]]:
    """Of each requirement that `target` has: the name with its version, and the line for pip, with
    its hashes and without a condition, which pip would try against the Python that runs now."""
    for line in path.read_text().replace("\\\n", " ").splitlines():
        text, *hashes = line.partition("#")[0].split(" --hash=")
        if not text.strip():
            continue
        requirement = Requirement(text)
        if target.wants(requirement.marker):
            name = f"{requirement.name}{requirement.specifier}"
            yield name, " ".join([name, *(f"--hash={each.strip()}" for each in hashes)])
