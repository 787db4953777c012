"""Checks files and folders that settings name. Each function returns the fault as the end of a
sentence, without the path; "" for none."""

import os
import ssl
from pathlib import Path


def ca_file_fault(path: Path) -> str:
    """Checks a file of certificate authorities in PEM."""
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
    """Checks that this process can write to a folder, or create it."""
    existing = path.absolute()
    try:
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
    if not existing.is_dir():
        return "is no folder, or is below something that is none"
    if not os.access(existing, os.W_OK | os.X_OK):
        return "cannot be written by this user"
    return ""


def file_fault(path: Path) -> str:
    """Checks that a file can be read."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def key_file_fault(path: Path) -> str:
    """Checks that only its owner may read a private key or password file, as libpq requires."""
    if fault := file_fault(path):
        return fault
    status = path.stat()
    # a file of root may be readable for the group of the product's user
    allowed = 0o640 if status.st_uid == 0 else 0o600
    return "may be read by others: chmod 600" if status.st_mode & 0o777 & ~allowed else ""
