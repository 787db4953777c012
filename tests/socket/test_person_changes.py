"""Changes of an account at `/admin/users`, over the raw socket."""

from genai_app.db.database import Database
from genai_app.services.accounts.users import Users
from tests.conftest import OpenPage


async def test_a_change_is_shown_in_the_account_and_in_the_list(
    open_page: OpenPage, app_db: Database, newcomer: tuple[str, str]
) -> None:
    user = await Users(app_db).find(newcomer[0])
    assert user is not None
    page = await open_page("carol", f"/admin/users/{user.id}")
    await page.wait_for(lambda: page.view("person_state")["id"] == str(user.id))

    await page.send_event("person_changes_state.give_limit", text="7/minute")
    await page.wait_for(lambda: page.view("person_state")["row"]["limit"] == "7/minute")
    rows = page.view("people_state")["rows"]
    assert [row["limit"] for row in rows if row["id"] == str(user.id)] == ["7/minute"]

    await page.send_event("person_changes_state.give_limit", text="much")
    await page.wait_for(lambda: page.view("person_state")["error_code"] == "bad_limit")
    changed = await Users(app_db).find(newcomer[0])
    assert changed is not None
    assert changed.rate_limit == "7/minute"
