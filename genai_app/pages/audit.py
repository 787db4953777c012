"""`/admin/audit`: who did what, and whether it was allowed."""

import reflex as rx

from genai_app.components.admin_frame import admin_page
from genai_app.components.audit_list import audit_list
from genai_app.components.audit_seal import audit_seal
from genai_app.state.audit import AuditState


def audit() -> rx.Component:
    return admin_page("/admin/audit", audit_seal(), audit_list(), loaded=AuditState.loaded)
