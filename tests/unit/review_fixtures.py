"""Reviewers as actors, and the service. A test module takes them with
`pytest_plugins = ("tests.unit.review_fixtures",)`.
"""

import pytest
import pytest_asyncio

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import Role
from genai_app.services.audit.events import Audit
from genai_app.services.review.admission import Admission
from genai_app.services.review.names import Mode
from genai_app.services.review.reviews import Reviews
from genai_app.services.review.workflow import OnVerdict, ReviewWork
from tests.unit.review_rows import SECRET, MakeReviews, MakeWork, enter_as


@pytest_asyncio.fixture
async def as_alice(db: Database) -> Actor:
    """Alice, who asks."""
    return await enter_as(db, "alice", full_name="Алиса Петрова", department="Бухгалтерия")


@pytest_asyncio.fixture
async def as_bob(db: Database) -> Actor:
    """Bob, who asks too."""
    return await enter_as(db, "bob", full_name="Bob Smith", department="ИТ")


@pytest_asyncio.fixture
async def as_rita(db: Database) -> Actor:
    """A reviewer."""
    return await enter_as(db, "rita", Role.REVIEWER, "Рита Орлова")


@pytest_asyncio.fixture
async def as_roman(db: Database) -> Actor:
    """Another reviewer."""
    return await enter_as(db, "roman", Role.REVIEWER, "Роман Ким")


@pytest_asyncio.fixture
async def as_carol(db: Database) -> Actor:
    """An administrator."""
    return await enter_as(db, "carol", Role.ADMIN, "Carol Jones")


@pytest.fixture
def make_reviews(db: Database) -> MakeReviews:
    """Makes the service of a mode."""

    def make(mode: Mode = "named") -> Reviews:
        return Reviews(db, Admission(Audit(db), mode), SECRET, mode)

    return make


@pytest.fixture
def reviews(make_reviews: MakeReviews) -> Reviews:
    """Of the mode `named`."""
    return make_reviews()


@pytest.fixture
def make_work(db: Database) -> MakeWork:
    """Makes the service of a mode that changes reviews."""

    def make(mode: Mode = "named", on_verdict: OnVerdict | None = None) -> ReviewWork:
        return ReviewWork(db, Admission(Audit(db), mode), on_verdict)

    return make


@pytest.fixture
def work(make_work: MakeWork) -> ReviewWork:
    """Of the mode `named`."""
    return make_work()
