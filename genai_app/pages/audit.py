"""`/admin/audit`: who did what, and whether it was allowed."""

import reflex as rx

from genai_app.components.admin.audit_list import audit_list
from genai_app.components.admin.audit_seal import audit_seal
from genai_app.components.admin.frame import admin_page
from genai_app.site_map import AUDIT
from genai_app.state.admin.audit import AuditState


def audit() -> rx.Component:
    return admin_page(AUDIT, audit_seal(), audit_list(), loaded=AuditState.loaded)
