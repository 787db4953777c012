"""Every page: its address, its name and who may open it. The pages themselves are in pages/."""

from dataclasses import dataclass

from genai_app.models import Role
from genai_app.rights import EVERYBODY


@dataclass(frozen=True, slots=True)
class PageInfo:
    """A page of the product.

    Args:
        address: its first part; `parts` may follow, in the form of Reflex's routes.
        title: the key of the sentence that names it.
        role: the least that may open it.
        icon: of its tab, for the pages of ADMINISTRATION.
    """

    address: str
    title: str
    role: Role | None = Role.USER
    parts: str = ""
    icon: str = ""

    @property
    def route(self) -> str:
        """The route as Reflex takes it."""
        return f"{self.address.rstrip('/')}{self.parts}"


CHAT = PageInfo("/", "nav.new", parts="/[[section]]/[[dialog]]")
LOGIN = PageInfo("/login", "login.title", EVERYBODY)
SETTINGS = PageInfo("/settings", "settings.title")
NOT_FOUND = PageInfo("404", "error.not_found_page", EVERYBODY)
OVERVIEW = PageInfo("/admin", "admin.overview", Role.REVIEWER, icon="chart-no-axes-column")
REVIEW = PageInfo(
    "/admin/dialogs", "admin.dialogs", Role.REVIEWER, "/[[dialog]]", icon="messages-square"
)
VERIFIED = PageInfo("/admin/verified", "admin.verified", Role.REVIEWER, icon="badge-check")
PEOPLE = PageInfo("/admin/users", "admin.users", Role.ADMIN, "/[[section]]", icon="users")
AUDIT = PageInfo("/admin/audit", "admin.audit", Role.ADMIN, icon="scroll-text")
EXPORTS = PageInfo("/admin/exports", "admin.exports", Role.REVIEWER, icon="file-down")

# the tabs of the administration, in their order
ADMINISTRATION = (OVERVIEW, REVIEW, VERIFIED, PEOPLE, AUDIT, EXPORTS)
PAGES = (CHAT, LOGIN, SETTINGS, NOT_FOUND, *ADMINISTRATION)
