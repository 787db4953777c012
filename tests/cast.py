"""The people of every test; the fixtures of their names put them into a database."""

PASSWORDS = {
    "alice": "Алиса: correct horse 1",
    "bob": "bob: battery staple 2",
    "carol": "carol: tr0ub4dor and 3",
    "rita": "rita: reads and judges 7",
    "dan": "dan: no way in any more 4",
}
