"""Every page is declared once and fits its declaration. Fast: no page is built."""

from pathlib import Path
from typing import Any

import pytest

from genai_app import site_map
from genai_app.i18n import LOCALES, catalogue
from genai_app.rights import EVERYBODY, NEEDED_ROLES, PUBLIC_HANDLERS, handler_name
from genai_app.site_map import ADMINISTRATION, PageInfo
from genai_app.web.addresses import is_page
from tests.fakes import handlers

PACKAGE = Path(site_map.__file__).parent
DECLARED = [each for each in vars(site_map).values() if isinstance(each, PageInfo)]


@pytest.fixture(scope="module")
def pages() -> list[tuple[PageInfo, Any, Any]]:
    """Declaration, layout and first handler of every page."""
    handlers.registered()
    from genai_app.app import PAGES

    return list(PAGES)


def test_every_declared_page_is_there(pages: list[tuple[PageInfo, Any, Any]]) -> None:
    assert {info.address for info, _, _ in pages} == {info.address for info in DECLARED}
    assert len({info.address for info in DECLARED}) == len(DECLARED)
    assert set(DECLARED) == set(site_map.PAGES)
    modules = {path.stem for path in (PACKAGE / "pages").glob("[a-z]*.py")}
    assert len(modules) == len(pages)


def test_what_opens_a_page_needs_the_role_of_the_page(
    pages: list[tuple[PageInfo, Any, Any]],
) -> None:
    for info, _, on_load in pages:
        name = handler_name(on_load.fn)
        assert NEEDED_ROLES.get(name, EVERYBODY) == info.role, name
        assert (name in PUBLIC_HANDLERS) == (info.role is EVERYBODY), name


@pytest.mark.parametrize("locale", LOCALES)
def test_every_page_has_a_name_in_each_language(locale: str) -> None:
    assert [each.title for each in DECLARED if not catalogue(locale).get(each.title)] == []


def test_every_page_of_the_administration_has_a_tab() -> None:
    below = [each for each in DECLARED if each.address.startswith("/admin")]
    assert set(below) == set(ADMINISTRATION)
    assert all(each.icon for each in below)
    assert [each.address for each in DECLARED if each.icon and each not in below] == []


def test_every_page_is_served_and_needs_a_login() -> None:
    for page in DECLARED:
        assert is_page(page.address) == (page.role is not EVERYBODY), page.address
