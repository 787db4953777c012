"""POST /messages/{id}/feedback: what scripts say of an answer."""

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import Feedback, Review
from tests.conftest import OpenApi
from tests.fakes.api_client import checked_error
from tests.fakes.questions import question


async def test_a_thumb(open_api: OpenApi, app_db: Database) -> None:
    """Kept, changed, taken back; the list of all dialogs knows."""
    api = await open_api()
    answer = (await api.post("/ask", json={"prompt": question()})).json()
    address = f"/messages/{answer['message_id']}/feedback"
    for body, expected, rating in (
        ({"rating": "up"}, {"rating": "up", "reason": "", "comment": ""}, "up"),
        (
            {"rating": "down", "reason": "unsafe", "comment": "Опасно 🎉"},
            {"rating": "down", "reason": "unsafe", "comment": "Опасно 🎉"},
            "down",
        ),
        ({"rating": None}, {"rating": None, "reason": "", "comment": ""}, ""),
    ):
        given = await api.post(address, json=body)
        assert (given.status_code, given.json()) == (200, expected)
        async with app_db.read() as session:
            review = await session.get_one(Review, uuid.UUID(answer["dialog_id"]))
            assert review.rating == rating
    async with app_db.read() as session:
        kept = sa.select(Feedback).where(
            col(Feedback.message_id) == uuid.UUID(answer["message_id"])
        )
        assert await session.scalar(kept) is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"rating": "bad"},
        {"rating": "up", "reason": "wrong"},
        {"rating": "down", "reason": "ugly"},
        {"rating": "down", "comment": "x" * 1001},
        {"rating": "down", "stars": 5},
        {"rating": 1},
    ],
    ids=str,
)
async def test_what_is_refused(body: dict[str, Any], open_api: OpenApi) -> None:
    api = await open_api("bob")
    answer = (await api.post("/ask", json={"prompt": question()})).json()
    address = f"/messages/{answer['message_id']}/feedback"
    checked_error(await api.post(address, json=body), 422)
