"""Keeps a question that is sent before the page's scripts run: Enter would only begin a line, and
the send button would post the question as a part of the address."""

from genai_app.state.chat.conversation import COMPOSER_ID

# In the head of every page. `on` until drafts.py serves the composer; `text` is the question that
# was sent before it could be, null for none.
_LISTENING = """(() => {
  const early = window.genaiEarly = { on: true, text: null };
  const keep = (event, field) => {
    if (!early.on || !field) return;
    event.preventDefault();
    early.text = field.value.trim() ? field.value : null;
  };
  addEventListener('keydown', (event) => {
    const field = event.target.id === '%(field)s' ? event.target : null;
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) keep(event, field);
  }, true);
  addEventListener('submit', (event) => keep(event, event.target.elements['%(field)s']), true);
})()"""
EARLY_SEND = _LISTENING % {"field": COMPOSER_ID}
