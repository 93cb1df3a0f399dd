"""Calls operations the way that a plugin wants them called: on the loop, or in threads."""

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeGuard

from varpd.provider.plugin import Plugin

MAX_THREADS: Final = 8
"""How many operations of a blocking instance may be in progress at once."""


def thread_name(plugin: type[Plugin]) -> str:
    """Return the name of the threads that operations of a blocking plugin run in."""
    return f"operation of {plugin.name}"


class Calls:
    """Calls the operations of one instance; made and used within a running event loop."""

    def __init__(self, plugin: type[Plugin]) -> None:
        """Take the class of the instance."""
        self._plugin = plugin
        self._loop = asyncio.get_running_loop()
        self._threads = asyncio.Semaphore(MAX_THREADS)

    async def call(self, operation: Callable[[], Any], *, plain: bool = False) -> Any:
        """Call an operation, and unless it answers `plain` wait for what it returns.

        Raises:
            TypeError: it returned a future of another event loop.
        """
        if self._plugin.blocking and not inspect.iscoroutinefunction(_underlying(operation)):
            async with self._threads:
                result: object = await self._in_thread(operation)
        else:
            result = operation()
        if plain:
            if inspect.iscoroutine(result):
                result.close()
            return result
        if _is_future(result):
            return await self._bridge(result)
        if not inspect.isawaitable(result):
            return result
        if asyncio.isfuture(result) and result.get_loop() is not self._loop:
            raise TypeError("its answer is a future of another event loop")
        return await result

    async def _in_thread(self, operation: Callable[[], Any]) -> Any:
        outcome: Future[Any] = Future()

        def work() -> None:
            try:
                outcome.set_result(operation())
            except BaseException as exc:  # a panic, too, belongs to whoever asked
                outcome.set_exception(exc)

        threading.Thread(target=work, name=thread_name(self._plugin), daemon=True).start()
        return await self._bridge(outcome)

    async def _bridge(self, answer: Future[Any]) -> Any:
        """Wait for a future of a thread without ever cancelling it."""
        done = asyncio.Event()

        def wake(_: Future[Any]) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(done.set)

        answer.add_done_callback(wake)
        await done.wait()
        return answer.result()


def _is_future(answer: object) -> TypeGuard[Future[Any]]:
    return isinstance(answer, Future)


def _underlying(operation: Callable[[], Any]) -> Callable[..., Any]:
    return operation.func if isinstance(operation, functools.partial) else operation
