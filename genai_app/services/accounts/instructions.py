"""A user's own instructions for the model: they stand before each conversation, after those of the
company (services/generation/context.py). An actor carries them, so that no question reads them."""

import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import InvalidInput
from genai_app.models import User
from genai_app.text import clean_text

MAX_CHARS = 1500


class OwnInstructions:
    """Saves the instructions of users."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def save(self, actor: Actor, text: str) -> str:
        """Replaces the actor's instructions; white space alone clears them. Returns them as saved.

        Raises:
            InvalidInput: instructions_too_long: more than MAX_CHARS characters.
        """
        text = clean_text(text).replace("\r\n", "\n").strip()
        if len(text) > MAX_CHARS:
            over_by = len(text) - MAX_CHARS
            raise InvalidInput(
                code="instructions_too_long", param="instructions", limit=MAX_CHARS, over_by=over_by
            )
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == actor.user_id).values(instructions=text)
            )
        return text
