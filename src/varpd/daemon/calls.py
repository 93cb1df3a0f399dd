"""Calls a plugin's operations: whatever they do, the caller gets a value or a known exception.

An operation runs on the event loop, or in a worker thread if the plugin blocks; what it returns
to be awaited runs in a task of its own from its first step. Nothing that a plugin raises gets
further than here: neither `SystemExit` nor a `CancelledError` that nobody asked for.
"""

import asyncio
import inspect
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from varpd.daemon.mailbox import PanicSaid
from varpd.daemon.tasks import Tasks
from varpd.daemon.watchdog import Culprit, Watchdog
from varpd.daemon.workers import Workers
from varpd.provider.errors import Panic, ProviderError

Result = TypeVar("Result")


class OperationFailed(Exception):  # noqa: N818 - named like what a plugin raises beside it
    """An operation that is no question failed; its fault was reported."""


class Report(Protocol):
    """Who hears how an instance's operations go; called on the event loop."""

    def fault(self, message: str, exc: BaseException | None = None) -> None:
        """Hear of a fault."""

    def good(self) -> None:
        """Hear that an operation went well."""

    def panicked(self, panic: PanicSaid) -> None:
        """Hear that the instance gave up."""


class Outcome(Struct, frozen=True):
    """How a call ended: with a value, or an exception."""

    value: object = None
    error: BaseException | None = None


class Caller:
    """Calls the operations of one object of a plugin, from the event loop."""

    def __init__(
        self,
        tasks: Tasks,
        watchdog: Watchdog,
        culprit: Culprit,
        report: Report,
        *,
        blocking: bool,
    ) -> None:
        """Take whose tasks these are, who is to blame, and who hears of it."""
        self.loop = asyncio.get_running_loop()
        self.workers = Workers(f"varpd-{culprit}") if blocking else None
        """Threads for plain operations of a plugin that blocks."""
        self._tasks = tasks
        self._watchdog = watchdog
        self._culprit = culprit
        self._report = report
        self._aborted: asyncio.Future[Outcome] = self.loop.create_future()

    def abort(self) -> None:
        """Give up what `run` has in progress, but what is final."""
        if not self._aborted.done():
            self._aborted.set_result(Outcome())

    def end(self) -> None:
        """Let go of the threads."""
        self.abort()
        if self.workers is not None:
            self.workers.end()

    def enter(self) -> None:
        """Note that the plugin's code runs on the loop from now on."""
        self._watchdog.running = self._culprit

    def leave(self) -> None:
        """Note that it does no longer."""
        self._watchdog.running = None

    def plain(self, name: str, operation: Callable[[], Result]) -> Result:
        """Call an operation on the loop.

        Raises:
            ProviderError: the plugin says no.
            OperationFailed: anything else went wrong.
        """
        self.enter()
        try:
            return operation()
        except ProviderError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            raise OperationFailed(self.raised(name, exc)) from exc
        finally:
            self.leave()

    async def run(
        self,
        name: str,
        operation: Callable[[], object],
        timeout: float,
        *,
        on_loop: bool = False,
        final: bool = False,
    ) -> Any:
        """Call an operation that is no question, and await what it returns.

        Args:
            name: what the operation is called.
            operation: the call.
            timeout: seconds that it may take.
            on_loop: whether it is called there even if the plugin is a blocking one.
            final: whether it goes on after `abort`.

        Raises:
            ProviderError: the plugin says no.
            OperationFailed: anything else went wrong.
        """
        if self._aborted.done() and not final:
            raise OperationFailed(f"{name} was not called: the instance stops")
        deadline = self.loop.time() + timeout
        if self.workers is None or on_loop:
            value: object = self.plain(name, operation)
        else:
            done: asyncio.Future[Outcome] = self.loop.create_future()

            def job() -> None:
                # What was given up before its turn came is not begun any more.
                if not done.cancelled():
                    self._tell(done, call(operation))

            if not self.workers.submit(job):
                raise OperationFailed(f"{name}: too many calls wait for a thread")
            value = self._value(name, await self._wait(name, done, deadline, final=final))
        try:
            later = inspect.isawaitable(value)
        except Exception:
            later = False
        if not later:
            self._report.good()
            return value
        task = self.start_task(outcome_of(value), name, value)  # type: ignore[arg-type] # is awaitable
        try:
            outcome = await self._wait(name, task, deadline, final=final)
        finally:
            task.cancel()
        result = self._value(name, outcome)
        self._report.good()
        return result

    def start_task(
        self, coroutine: Coroutine[Any, Any, Result], name: str, awaited: object
    ) -> asyncio.Task[Result]:
        """Start a task of the plugin; `awaited`, which is the plugin's, is closed with it."""
        task = self._tasks.start(coroutine, f"{self._culprit} {name}")
        self._watchdog.owns(task, self._culprit)
        if inspect.iscoroutine(awaited):
            # One that was cancelled before its first step was never awaited.
            task.add_done_callback(lambda _: awaited.close())
        return task

    async def watch(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        """Await a coroutine that nobody waits for; what leaves it is a fault."""
        outcome = await outcome_of(coroutine)
        if outcome.error is not None and not isinstance(outcome.error, OperationFailed):
            self.raised(name, outcome.error)

    def raised(self, name: str, exc: BaseException, panic: PanicSaid | None = None) -> str:
        """Report what left an operation; return it as text."""
        message = f"{name} raised {type(exc).__name__}: {_text(exc)}".rstrip(": ")
        if isinstance(exc, Panic):
            stack = "".join(traceback.format_exception(exc))
            self._report.panicked(panic or PanicSaid(_text(exc), stack))
        else:
            self._report.fault(message, exc)
        return message

    def _value(self, name: str, outcome: Outcome) -> object:
        if outcome.error is None:
            return outcome.value
        if isinstance(outcome.error, ProviderError):
            raise outcome.error
        raise OperationFailed(self.raised(name, outcome.error)) from outcome.error

    async def _wait(
        self, name: str, waiter: asyncio.Future[Outcome], deadline: float, *, final: bool
    ) -> Outcome:
        timeout = max(0.0, deadline - self.loop.time())
        first = {waiter} if final else {waiter, self._aborted}
        done, _ = await asyncio.wait(first, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if waiter in done:
            if waiter.cancelled():
                raise OperationFailed(f"{name} was cancelled")
            return waiter.result()
        if not final:
            waiter.cancel()
        if done:
            raise OperationFailed(f"{name} was given up: the instance stops")
        message = f"{name} took too long"
        self._report.fault(message)
        raise OperationFailed(message)

    def _tell(self, waiter: asyncio.Future[Outcome], outcome: Outcome) -> None:
        """Hand an outcome from a worker thread to the loop."""

        def set_result() -> None:
            if not waiter.done():
                waiter.set_result(outcome)

        try:
            self.loop.call_soon_threadsafe(set_result)
        except RuntimeError:
            # The loop is closed: the daemon has ended, and nobody waits.
            return


def call(operation: Callable[[], object]) -> Outcome:
    """Call something of the plugin's in a thread where no exception is anybody else's."""
    try:
        return Outcome(operation())
    except BaseException as exc:  # it is judged on the loop
        return Outcome(error=exc)


async def outcome_of(value: Awaitable[object]) -> Outcome:
    """Await something of the plugin's; only being cancelled from outside leaves it."""
    try:
        return Outcome(await value)
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return Outcome(error=exc)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # SystemExit of a plugin is a fault
        return Outcome(error=exc)


def _text(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:
        return "(its text cannot be made)"
