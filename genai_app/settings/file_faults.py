"""Files and folders that settings name: what is wrong with them, as the end of a sentence without
the path; "" where all is well."""

import os
import ssl
from pathlib import Path


def ca_file_fault(path: Path) -> str:
    """A file with the certificates of authorities, in PEM."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not content.strip():
        return "is empty: the certificate of the authority must be in it, in PEM"
    if b"-----BEGIN CERTIFICATE-----" not in content:
        if content[:1] == b"\x30":
            return "is in DER, but PEM is needed: openssl x509 -inform der -in FILE -out FILE.pem"
        return "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=str(path))
    except (ssl.SSLError, OSError):
        return "holds a certificate that is damaged"
    return ""


def folder_fault(path: Path) -> str:
    """A folder that is there, or can be made, and that this process may write."""
    place = path.absolute()
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
    if not place.is_dir():
        return "is no folder, or is below something that is none"
    if not os.access(place, os.W_OK | os.X_OK):
        return "cannot be written by this user"
    return ""


def file_fault(path: Path) -> str:
    """A file that can be read."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def key_file_fault(path: Path) -> str:
    """A private key or a password, for its owner alone: PostgreSQL's own programs refuse others."""
    if fault := file_fault(path):
        return fault
    found = path.stat()
    # of root's, whoever serves may read it as one of its group
    allowed = 0o640 if found.st_uid == 0 else 0o600
    return "may be read by others: chmod 600" if found.st_mode & 0o777 & ~allowed else ""
