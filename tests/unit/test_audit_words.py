"""What the audit says of each kind of event, in Russian without a Latin word but names."""

import itertools
import re
import uuid
from types import SimpleNamespace

import pytest

from genai_app.i18n import LOCALES, plural
from genai_app.models import Action, Outcome
from genai_app.services.accounts.directory_alarms import AlarmCause
from genai_app.services.audit.words import event_words, parse_details
from genai_app.settings.notations import limit_words

LATIN = re.compile(r"[A-Za-z]{2,}")
NAMES = re.compile(r"\b(Telegram|Mattermost|API|CSV|JSONL|XLSX|PDF|GENAI_\w+)\b")
DIALOG = "6a0c2c5e-6a9a-4f3c-8f0e-2b9f6b0a7d11"
# every detail that the product writes
DETAILS = (
    "reason=wrong_password reason=limit_reached",
    "limit=600/minute",
    "limit=600/60s",
    "limit=default",
    "count=3",
    "role=admin before=user",
    "to=taken",
    "to=judged",
    "to=taken_over",
    f"verdict=wrong of={DIALOG}",
    "filters=none",
    "filters=query,user,department,model,source,channel,rating,state,verdict,status,mine,since",
    "filters=action,outcome,actor,target,since,until,search,role,disabled,live,due,retired",
    f"kind=dialogs format=csv export={uuid.uuid4()} department=Закупки since=2026-01-01 state=new",
    f"kind=user hold=on user={uuid.uuid4()}",
    "dry_run=True dialogs=1 messages=2 deleted_dialogs=0 held=0 files=3",
    "rows=10 bytes=20 ok=True",
    "made_at=2026-01-01T00:00:00 schema=0005 sessions_ended=1 keys_revoked=0",
    "review_by=2027-01-01",
    "department=none",
    "value=600/minute digest=0123456789abcdef",
    "reason=server_down: timed out",
    *(f"reason={cause} state=started" for cause in AlarmCause),
)
TARGETS = ("", DIALOG, "everybody", "others", "audit", "POST /admin/api/exports", "GENAI_X")


def row(action: str, outcome: str, target: str, details: str, channel: str) -> SimpleNamespace:
    return SimpleNamespace(
        action=action, outcome=outcome, target=target, details=details, channel=channel
    )


@pytest.mark.parametrize("action", Action)
def test_every_event_is_told_in_russian(action: Action) -> None:
    parts = [
        *(("", details, "") for details in DETAILS),
        *((target, "", "") for target in TARGETS),
        *(("", "", channel) for channel in ("web", "api", "telegram", "mattermost")),
    ]
    for outcome, part in itertools.product(Outcome, parts):
        words = event_words(row(action, outcome, *part), LOCALES)
        assert words.sentence["ru"][0].isupper()
        shown = f"{words.sentence['ru']} {words.facts['ru']}"
        assert LATIN.findall(NAMES.sub("", shown.replace("csv", ""))) == [], shown
        english = f"{words.sentence['en']} {words.facts['en']}".replace("Закупки", "")
        assert not re.search("[а-яё]", english), english
        assert words.name not in (DIALOG, "everybody", "others")


@pytest.mark.parametrize(
    ("action", "target", "details", "sentence", "facts"),
    [
        ("dialog_list", "dialogs", "filters=none", "Просмотрен список диалогов", "без фильтров"),
        ("review_state", DIALOG, "to=taken", "Изменён ход проверки", "стало: в работе"),
        ("verdict", "x", f"verdict=wrong of={DIALOG}", "Оценён ответ", "оценка: Неверно"),
        (
            *("limit_change", "bob", "limit=600/minute", "Изменён лимит"),
            "лимит: 600 вопросов в минуту",
        ),
        ("admin_view", "audit", "filters=actor", "Просмотрен раздел", "Журнал · фильтры: кто"),
    ],
)
def test_sentences(action: str, target: str, details: str, sentence: str, facts: str) -> None:
    words = event_words(row(action, "done", target, details, "web"), LOCALES)
    assert words.sentence["ru"] == sentence
    assert facts in words.facts["ru"]
    linked = action in ("review_state", "verdict")
    assert words.dialog_id == (DIALOG if linked else "")


def test_an_action_that_is_not_known_yet() -> None:
    """A newer replica writes what an older one reads."""
    assert (
        event_words(row("newer", "done", "", "", ""), LOCALES).sentence["ru"] == "Событие системы"
    )


def test_details_are_read_as_they_were_written() -> None:
    assert parse_details("reason=two words limit=1/2s") == {"reason": "two words", "limit": "1/2s"}
    assert parse_details("") == {}


@pytest.mark.parametrize(
    ("limit", "russian", "english"),
    [
        ("1/minute", "1 вопрос в минуту", "1 question a minute"),
        ("22/hour", "22 вопроса в час", "22 questions an hour"),
        ("111/day", "111 вопросов в день", "111 questions a day"),
        ("500 per 8 hours", "500 вопросов за 8 часов", "500 questions in 8 hours"),
        ("30/120s", "30 вопросов за 2 минуты", "30 questions in 2 minutes"),
        ("", "по роли", "by role"),
    ],
)
def test_limits_in_words(limit: str, russian: str, english: str) -> None:
    assert (limit_words(limit, "ru"), limit_words(limit, "en")) == (russian, english)


@pytest.mark.parametrize(
    ("count", "form"),
    [(1, "вопрос"), (3, "вопроса"), (11, "вопросов"), (21, "вопрос"), (0, "вопросов")],
)
def test_plural_forms(count: int, form: str) -> None:
    assert plural("ru", count, "limit.questions") == form
