"""Tells the server the browser's time zone, by a cookie that comes with every socket."""

import reflex as rx
from reflex_base.utils.imports import ImportDict
from reflex_components_core.base.fragment import Fragment

from genai_app.zones import DEFAULT_ZONE, ZONE_COOKIE

YEAR_S = 365 * 86_400

# A page that was opened without the cookie, or before a journey, shows times of another zone: it is
# loaded again. Not where the browser refuses the cookie: that would never end; nor while somebody
# already writes.
_EFFECT = """
useEffect(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const cookie = '%(name)s=' + encodeURIComponent(zone);
  const kept = () => document.cookie.split('; ').find((each) => each.startsWith('%(name)s='));
  const before = kept();
  if (!zone || before === cookie) return;
  document.cookie = cookie + '; path=/; max-age=%(age)d; samesite=lax';
  const differs = cookie !== (before ?? '%(name)s=%(default)s');
  const writes = document.querySelector('textarea')?.value;
  if (%(reload)s && differs && !writes && kept() === cookie) window.location.reload();
}, []);
"""


class BrowserZone(Fragment):
    """Draws nothing. One on each page."""

    reload: rx.Var[bool]

    def add_imports(self) -> ImportDict:
        return {"react": "useEffect"}

    def add_hooks(self) -> list[str | rx.Var]:
        values = {
            "name": ZONE_COOKIE,
            "age": YEAR_S,
            "default": DEFAULT_ZONE,
            "reload": str(self.reload),
        }
        return [rx.Var(_EFFECT % values)]

    def _exclude_props(self) -> list[str]:
        return ["reload"]


def browser_zone(*, has_times: bool = True) -> rx.Component:
    """Returns the part for a page; one without times is never loaded again."""
    return BrowserZone.create(reload=has_times)
