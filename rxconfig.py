"""How Reflex builds the front end. What runs is set in genai_app/settings/settings.py."""

import reflex as rx

config = rx.Config(
    app_name="genai_app",
    app_module_import="genai_app.app",
    # Not a host: the server puts the page's own origin in its place (genai_app/web/frontend.py),
    # so that one build serves on any host and port.
    api_url="http://origin.invalid",
    telemetry_enabled=False,
    show_built_with_reflex=False,
    frontend_compression_formats=["gzip", "brotli"],
    frontend_lazy_bundled_libraries=True,
    state_manager_mode=rx.constants.StateManagerMode.MEMORY,
    plugins=[],
    disable_plugins=[rx.plugins.SitemapPlugin],
)
