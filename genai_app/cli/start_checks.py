"""Checks beyond the values of settings, made before a command runs: folders can be written, a model
is there, workers can share their state. Each yields its faults."""

from collections.abc import Iterator

from genai_app.adapters.llm.demo import DemoModel
from genai_app.settings.file_faults import folder_fault
from genai_app.settings.settings import Check, Settings
from genai_app.settings.variables import SettingFault


def embedded_data_dir(settings: Settings) -> Iterator[SettingFault]:
    """Checks the folder of the SQLite file and of the secret key."""
    if settings.embedded:
        yield from data_dir(settings)


def data_dir(settings: Settings) -> Iterator[SettingFault]:
    if text := folder_fault(settings.data_dir):
        yield SettingFault(("data_dir",), text)


def audit_anchor(settings: Settings) -> Iterator[SettingFault]:
    anchor = settings.audit_anchor
    if anchor is None:
        return
    if anchor.is_dir():
        yield SettingFault(("audit_anchor",), "is a folder, but must be a file")
    elif text := folder_fault(anchor.parent):
        yield SettingFault(("audit_anchor",), f"its folder {text}")


def model(settings: Settings) -> Iterator[SettingFault]:
    if settings.demo_model and not DemoModel.is_installed():
        yield SettingFault(
            ("llm_base_url",),
            "required: the demo model, which answers without it, is not installed",
        )


def shared_state(settings: Settings) -> Iterator[SettingFault]:
    """Checks the settings that several processes need: they share limits, cache and live text
    through Redis."""
    if settings.embedded:
        yield SettingFault(
            ("database_url",), "--workers: SQLite is for one process; set PostgreSQL"
        )
    if settings.redis_url is None:
        yield SettingFault(("redis_url",), "--workers: several processes need it")


COMMAND: tuple[Check, ...] = (embedded_data_dir,)
SERVE: tuple[Check, ...] = (data_dir, audit_anchor, model)
