"""Codes that stand for people under `GENAI_REVIEW_MODE=pseudonymous`: the same for the same person
in the list, the dialog and an export, and nobody's without the product's key."""

import hashlib
import hmac
import uuid

from genai_app.services.derived_keys import derive_key

CODE_CHARS = 8  # of 16 each: among 5,000 people two share one in 1 company of 340


def pseudonym(secret: bytes, user_id: uuid.UUID) -> str:
    """`7F3A91C2`. `secret`: settings.secret; with another one everybody has another code."""
    key = derive_key(secret, "pseudonyms")
    return hmac.digest(key, user_id.bytes, hashlib.sha256).hex()[:CODE_CHARS].upper()
