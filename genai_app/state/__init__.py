"""States of the pages, one small State per concern and per re-render boundary.

A State is a view: any of them may vanish at any moment, and `ConversationState.open` builds the
page again from cookie, address and database. Handlers check their arguments, call one service and
copy the result into display rows. No identity, no row of the database and no secret is ever a var.
"""
