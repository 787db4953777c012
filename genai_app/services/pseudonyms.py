"""Names that stand for people under `GENAI_REVIEW_MODE=pseudonymous`: the same for the same person
wherever they stand, and nobody's without the product's key."""

import base64
import hashlib
import hmac
import uuid

from genai_app.services.sessions import derive_key

LETTERS = 10  # of 32: two people share one in 2**50 pairs


def pseudonym(secret: bytes, user_id: uuid.UUID) -> str:
    """`user-` and ten letters and digits. `secret`: settings.secret."""
    key = derive_key(secret, "pseudonyms")
    digest = hmac.new(key, user_id.bytes, hashlib.sha256).digest()
    return "user-" + base64.b32encode(digest).decode().lower()[:LETTERS]
