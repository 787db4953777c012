"""Every router of the API. They are asked in turn: those that programs call all the time come
first."""

from genai_app.api import (
    ask,
    audit,
    auth,
    dialogs,
    docs,
    exports,
    health,
    keys,
    me,
    metrics,
    openai,
    people,
    review,
    stats,
    tokens,
    verified,
)

ROUTERS = (
    openai.router,
    ask.router,
    dialogs.router,
    me.router,
    keys.router,
    tokens.router,
    exports.router,
    auth.router,
    health.router,
    metrics.router,
    docs.router,
    audit.router,
    people.router,
    review.router,
    stats.router,
    verified.router,
)
