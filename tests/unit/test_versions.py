"""The parts that read from the network are past their known holes."""

from importlib.metadata import version

import pytest
from packaging.version import Version

FLOORS = {
    "starlette": "0.49.1",  # CVE-2025-62727: Range headers
    "python-multipart": "0.0.18",  # CVE-2024-53981: the boundary
    "h11": "0.16.0",  # CVE-2025-43859: chunked bodies
    "httptools": "0.6.0",
    "python-jose": "3.4.0",  # CVE-2024-33663, CVE-2024-33664
}


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_installed_versions_are_past_known_holes(name: str) -> None:
    """Range, multipart and query string attacks on the HTTP stack."""
    assert Version(version(name)) >= Version(FLOORS[name])
