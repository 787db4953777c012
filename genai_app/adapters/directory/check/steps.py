"""The report of a check of the directory: its steps, how each ended, facts, and causes of failures.

Each word of DirectoryCause has two sentences in locales/*.json: `ldap.cause.<word>` says what is
wrong, `ldap.remedy.<word>` how to correct it. `ldap.step.<word>` and `ldap.fact.<word>` are titles.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from genai_app.adapters.findings import CheckOutcome, FactValue


class StepName(StrEnum):
    """Steps in their order. The last four examine one user, if a name was entered."""

    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    START_TLS = "start_tls"
    SERVICE_BIND = "service_bind"
    ROOT_DSE = "root_dse"
    USER_BASE = "user_base"
    GROUPS_FOUND = "groups_found"
    USER_FOUND = "user_found"
    USER_STATE = "user_state"
    USER_GROUPS = "user_groups"
    ROLE = "role"


class Fact(StrEnum):
    """Names of facts that steps report. Values are text, numbers, booleans, or several texts."""

    ADDRESSES = "addresses"
    TLS_VERSION = "tls_version"
    SUBJECT = "subject"
    ISSUER = "issuer"
    NAMES = "names"  # for which the certificate is valid
    DAYS_LEFT = "days_left"
    ACCOUNT = "account"
    ACTIVE_DIRECTORY = "active_directory"
    CONTEXTS = "contexts"
    LOCKOUT_TRIES = "lockout_tries"
    LOCKOUT_WINDOW_S = "lockout_window_s"
    BASE = "base"
    FILTER = "filter"
    PEOPLE = "people"
    GROUPS = "groups"  # as the settings write them
    MISSING = "missing"
    ALLOWED = "allowed"
    PATHS = "paths"
    DN = "dn"
    STATE = "state"
    WORKSTATIONS = "workstations"
    WRONG_TRIES = "wrong_tries"
    ROLE = "role"
    DETAIL = "detail"  # an unchanged message of the server or of the system


class DirectoryCause(StrEnum):
    """Everything that can be wrong."""

    HOST_UNKNOWN = "host_unknown"
    DNS_SLOW = "dns_slow"
    ONE_CONTROLLER = "one_controller"

    PORT_CLOSED = "port_closed"
    NO_WAY = "no_way"
    FIREWALL = "firewall"

    CLEAR_TEXT = "clear_text"
    NOT_TLS = "not_tls"
    TLS_FAILED = "tls_failed"
    START_TLS_REFUSED = "start_tls_refused"
    AUTHORITY_UNKNOWN = "authority_unknown"
    SELF_SIGNED = "self_signed"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_EARLY = "certificate_early"
    CERTIFICATE_OTHER_HOST = "certificate_other_host"
    CERTIFICATE_REFUSED = "certificate_refused"
    CERTIFICATE_ENDS_SOON = "certificate_ends_soon"

    TLS_REQUIRED = "tls_required"
    SERVICE_REFUSED = "service_refused"
    SERVICE_WRONG_PASSWORD = "service_wrong_password"  # noqa: S105  # a word
    SERVICE_UNKNOWN = "service_unknown"
    SERVICE_LOGON_HOURS = "service_logon_hours"
    SERVICE_WORKSTATION = "service_workstation"
    SERVICE_PASSWORD_EXPIRED = "service_password_expired"  # noqa: S105  # a word
    SERVICE_DISABLED = "service_disabled"
    SERVICE_EXPIRED = "service_expired"
    SERVICE_MUST_CHANGE = "service_must_change"
    SERVICE_LOCKED = "service_locked"
    SERVICE_DN_MALFORMED = "service_dn_malformed"

    ROOT_UNREADABLE = "root_unreadable"
    BASE_MISSING = "base_missing"
    BASE_MALFORMED = "base_malformed"
    BASE_ELSEWHERE = "base_elsewhere"
    BASE_UNREADABLE = "base_unreadable"
    BASE_EMPTY = "base_empty"
    FILTER_BROKEN = "filter_broken"
    FILTER_MEETS_NOBODY = "filter_meets_nobody"
    NO_ID = "no_id"

    GROUP_BASE_MISSING = "group_base_missing"
    GROUP_UNKNOWN = "group_unknown"
    GROUP_AMBIGUOUS = "group_ambiguous"
    GROUP_ELSEWHERE = "group_elsewhere"
    GROUP_UNREADABLE = "group_unreadable"

    NAME_MALFORMED = "name_malformed"
    USER_UNKNOWN = "user_unknown"
    USER_ELSEWHERE = "user_elsewhere"
    USER_FILTERED = "user_filtered"
    USER_TWICE = "user_twice"
    USER_DISABLED = "user_disabled"
    USER_LOCKED = "user_locked"
    USER_LOCK_WRITTEN = "user_lock_written"
    USER_EXPIRED = "user_expired"
    USER_PASSWORD_EXPIRED = "user_password_expired"  # noqa: S105  # a word
    USER_MUST_CHANGE = "user_must_change"
    USER_NO_LOGON_HOURS = "user_no_logon_hours"
    USER_OUTSIDE_LOGON_HOURS = "user_outside_logon_hours"
    USER_WORKSTATIONS = "user_workstations"
    USER_SMART_CARD = "user_smart_card"
    GROUPS_UNREADABLE = "groups_unreadable"
    NO_ALLOWED_GROUP = "no_allowed_group"

    SILENT = "silent"
    BROKE_OFF = "broke_off"
    ANSWERED_OTHERWISE = "answered_otherwise"


Facts = Mapping[Fact, FactValue]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the check that has ended."""

    controller: str  # `ldaps://dc1.corp.example:636 (10.0.0.1)`; for DNS without the address
    name: StepName
    outcome: CheckOutcome
    seconds: float = 0.0
    facts: Facts = field(default_factory=dict[Fact, FactValue])
    cause: DirectoryCause | None = None  # of a failure or a warning


class StepFailed(Exception):
    """Raised when a step fails."""

    def __init__(self, cause: DirectoryCause, facts: Facts | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.facts: Facts = facts or {}


@dataclass(frozen=True, slots=True)
class StepPassed:
    """The result of a step that did not fail."""

    facts: Facts = field(default_factory=dict[Fact, FactValue])
    cause: DirectoryCause | None = None  # of a warning
