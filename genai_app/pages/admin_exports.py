"""`/admin/exports`: files of everybody's dialogs and of verified answers, for reviewers."""

import reflex as rx

from genai_app.components.admin.frame import admin_page
from genai_app.components.exports import exports_card
from genai_app.site_map import EXPORTS
from genai_app.state.exports import ExportsState


def admin_exports() -> rx.Component:
    return admin_page(EXPORTS, exports_card(), loaded=ExportsState.page_loaded)
