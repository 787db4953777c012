"""The bill of materials, as CycloneDX 1.6 JSON (ECMA-424), which scanners of vulnerabilities read.

Our own dozen lines: the usual tool describes an environment that is installed, and a bundle may be
for another Python than the one that makes it.
"""

import json
import uuid
from collections.abc import Sequence

from bundle.packages import Package

NAMESPACE = uuid.UUID("6f0b7f5e-5f0c-4f57-9a55-3c5f2f1d9a10")


def bill(version: str, packages: Sequence[Package]) -> str:
    """JSON text; the same for the same packages."""
    components = [_component(package) for package in packages]
    serial = uuid.uuid5(NAMESPACE, json.dumps([version, components]))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "genai-app",
                "name": "genai-app",
                "version": version,
            }
        },
        "components": components,
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _component(package: Package) -> dict[str, object]:
    scope, _, name = package.name.rpartition("/")
    licence = (
        {"expression": package.licence}
        if package.is_spdx
        else {"license": {"name": package.licence}}
    )
    return {
        "type": "library",
        "bom-ref": package.purl,
        **({"group": scope} if scope else {}),
        "name": name,
        "version": package.version,
        "purl": package.purl,
        "licenses": [licence],
        "hashes": [{"alg": package.hash_name, "content": package.digest}],
    }
