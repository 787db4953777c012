"""`/admin/users`: accounts, and what may be done with them."""

import reflex as rx

from genai_app.components.admin.frame import admin_page
from genai_app.components.admin.people_list import people_list
from genai_app.components.admin.person_card import person_card
from genai_app.site_map import PEOPLE
from genai_app.state.admin.people import PeopleState, PersonState


def people() -> rx.Component:
    return admin_page(
        PEOPLE,
        rx.cond(PersonState.id != "", person_card(), people_list()),
        loaded=PeopleState.loaded,
    )
