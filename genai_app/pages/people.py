"""`/admin/users`: accounts, and what may be done with them."""

import reflex as rx

from genai_app.components.admin_frame import admin_page
from genai_app.components.people_list import people_list
from genai_app.components.person_card import person_card
from genai_app.state.people import PeopleState, PersonState


def people() -> rx.Component:
    return admin_page(
        "/admin/users",
        rx.cond(PersonState.id != "", person_card(), people_list()),
        loaded=PeopleState.loaded,
    )
