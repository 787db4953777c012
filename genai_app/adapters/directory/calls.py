"""Runs calls to the directory: in a bounded pool of threads, with a time limit for each call, at
the first controller that serves.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ssl import SSLContext
from typing import TypeVar

import structlog

from genai_app.adapters.directory.controllers import Controllers
from genai_app.adapters.directory.deadline import TimeIsUp, TimeLimit
from genai_app.adapters.directory.link import (
    ANSWER_TIMEOUT_S,
    BindAnswer,
    CertificateRefused,
    Controller,
    ControllerFailed,
    Link,
    tls_context,
)
from genai_app.adapters.directory.refusals import bind_reason, policy_error
from genai_app.adapters.directory.root_dse import Root, read_root
from genai_app.errors import DirectoryUnavailable
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

CALL_TIMEOUT_S = 4.5  # for one call in all, including the wait for a thread
FAILOVER_TIMEOUT_S = 1.5  # for one answer, while another controller could be asked instead
GRACE_S = 0.1  # lets the thread, which knows the cause, report the timeout first
BLAME_AFTER_S = 1.0  # a controller that had less time than this is not blamed for a timeout
MIN_LEFT_S = 0.2  # a call that gets a thread with less time left is not started
THREADS = 8
BUSY = "busy: all threads wait for the directory"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ControllerCall:
    """A call at one controller. `link` is bound as the service account."""

    controller: Controller
    link: Link
    limit: TimeLimit
    root: Root
    tls: SSLContext

    def bind_as(self, dn: str, secret: bytes) -> BindAnswer:
        """Binds as a person, on a separate connection that is closed at once: no search ever runs
        with that person's rights.

        Raises:
            ControllerFailed, TimeIsUp
        """
        with Link(self.controller, self.tls, self.limit, ANSWER_TIMEOUT_S) as link:
            return link.bind(dn, secret)


class DirectoryCalls:
    """The threads and the failover of all calls to the directory. One per process.

    Raises:
        SettingsError: the file with the authority's certificate cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.ldap_bind_password is None:
            raise ValueError("no directory is set")
        self._service_dn = settings.ldap_bind_dn
        self._secret = settings.ldap_bind_password.get_secret_value().encode()
        self._tls = tls_context(settings.ldap_ca_file)
        self._controllers = Controllers(settings)
        self._roots: dict[str, Root] = {}  # by URL
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="directory")
        self._running: set[TimeLimit] = set()

    async def run(self, work: Callable[[ControllerCall], T]) -> T:
        """Runs `work` in a thread and returns its result. Takes 4.5 s at most.

        Raises:
            DirectoryUnavailable: no controller served, or `work` raised it. Whatever else `work`
                raises is passed on.
        """
        limit = TimeLimit(CALL_TIMEOUT_S)
        try:
            future = self._threads.submit(self._run_with_failover, work, limit)
        except RuntimeError:
            raise DirectoryUnavailable("closed: the product stops") from None
        self._running.add(limit)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S + GRACE_S):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DirectoryUnavailable("timeout" if limit.begun else BUSY) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if future.cancelled() and not (task and task.cancelling()):  # by close()
                raise DirectoryUnavailable("closed: the product stops") from None
            raise
        finally:
            future.cancel()
            limit.abandon()
            self._running.discard(limit)

    async def close(self) -> None:
        """Ends all calls, which raise DirectoryUnavailable, and their threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for limit in list(self._running):
            limit.abandon()
        await asyncio.to_thread(self._threads.shutdown)

    def _run_with_failover(self, work: Callable[[ControllerCall], T], limit: TimeLimit) -> T:
        """Runs `work` at the first controller that serves. Blocks."""
        causes: list[str] = []
        try:
            if limit.left_s() < MIN_LEFT_S:
                raise DirectoryUnavailable(BUSY)
            limit.begun = True
            controllers, unknown_hosts = self._controllers.ranked()
            causes += [f"dns: {host}" for host in unknown_hosts]
            for number, controller in enumerate(controllers, start=1):
                another = self._controllers.has_healthy(controllers[number:])
                began = time.monotonic()
                try:
                    timeout_s = FAILOVER_TIMEOUT_S if another else ANSWER_TIMEOUT_S
                    result = self._run_at(controller, work, limit, timeout_s)
                except (ControllerFailed, TimeIsUp) as error:
                    causes.append(self._note_failure(controller, error, time.monotonic() - began))
                    if not isinstance(error, CertificateRefused):
                        limit.left_s()
                else:
                    self._controllers.served(controller)
                    return result
        except TimeIsUp:
            if not limit.begun:
                raise DirectoryUnavailable(BUSY) from None
            if not causes or not causes[-1].startswith("timeout"):
                causes.append("timeout")
        raise DirectoryUnavailable("; ".join(causes)[:500] or "dns: no address")

    def _note_failure(
        self, controller: Controller, error: ControllerFailed | TimeIsUp, seconds: float
    ) -> str:
        """Ranks a controller that failed after `seconds` last. Returns the cause."""
        cause = error.cause if isinstance(error, ControllerFailed) else "timeout"
        if isinstance(error, CertificateRefused):
            log.error("directory.certificate_refused", controller=controller.label, cause=cause)
        if not cause.startswith("timeout") or seconds >= BLAME_AFTER_S:
            self._controllers.failed(controller, cause)
        return cause

    def _run_at(
        self,
        controller: Controller,
        work: Callable[[ControllerCall], T],
        limit: TimeLimit,
        answer_timeout_s: float,
    ) -> T:
        with Link(controller, self._tls, limit, answer_timeout_s) as link:
            answer = link.bind(self._service_dn, self._secret)
            if answer.code != 0 or policy_error(answer.policy) is not None:
                reason = bind_reason(answer.code, answer.message, answer.policy) or (
                    f"{answer.code} {answer.message}"
                )
                log.error("directory.service_account_refused", reason=reason[:200])
                raise DirectoryUnavailable(f"service_account: {reason[:200]}")
            root = self._root_of(controller, link)
            return work(ControllerCall(controller, link, limit, root, self._tls))

    def _root_of(self, controller: Controller, link: Link) -> Root:
        root = self._roots.get(controller.url)
        if root is None:
            root = self._roots[controller.url] = read_root(link)
        return root
