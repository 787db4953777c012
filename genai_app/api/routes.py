"""The routers of the API, searched in this order: those with the most calls come first."""

from genai_app.api import (
    audit,
    docs,
    exports,
    files,
    folders,
    health,
    imports,
    metrics,
    people,
    stats,
)
from genai_app.api.account import keys, me, messengers, tokens
from genai_app.api.account import login as auth
from genai_app.api.ask import routes as ask
from genai_app.api.dialogs import routes as dialogs
from genai_app.api.openai import routes as openai
from genai_app.api.review import files as review_files
from genai_app.api.review import routes as review
from genai_app.api.review import verified

ROUTERS = (
    openai.router,
    ask.router,
    dialogs.router,
    files.router,
    folders.router,
    me.router,
    keys.router,
    messengers.router,
    tokens.router,
    exports.router,
    imports.router,
    auth.router,
    health.router,
    metrics.router,
    docs.router,
    audit.router,
    people.router,
    review.router,
    review_files.router,
    stats.router,
    verified.router,
)
