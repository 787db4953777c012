"""Keys for single purposes, derived from the product's secret."""

import hashlib
import hmac


def derive_key(secret: bytes, label: str) -> bytes:
    """Returns a key of 32 bytes for one purpose: a signature for one is no proof for another."""
    return hmac.new(secret, label.encode(), hashlib.sha256).digest()
