"""Codes that replace the names of users under `GENAI_REVIEW_MODE=pseudonymous`. A user has the same
code in the list, in the dialog and in an export. Without the secret, nobody can compute it."""

import hashlib
import hmac
import uuid

from genai_app.services.derived_keys import derive_key

CODE_CHARS = 8  # hex digits: of 340 companies with 5,000 users, one has two users with one code


def pseudonym(secret: bytes, user_id: uuid.UUID) -> str:
    """Returns a code like `7F3A91C2`. `secret`: settings.secret; another secret changes all
    codes."""
    key = derive_key(secret, "pseudonyms")
    return hmac.digest(key, user_id.bytes, hashlib.sha256).hex()[:CODE_CHARS].upper()
