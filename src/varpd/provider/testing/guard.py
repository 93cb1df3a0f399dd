"""Calls an instance as varpd does, without varpd.

Whatever an instance does wrong becomes a line in `FakeGuard.faults`, and DROP its answer.
"""

import asyncio
import functools
import inspect
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final, TypeGuard, TypeVar

from varpd.net.addresses import IpAddress, MacAddress
from varpd.provider.answers import (
    DROP,
    Answer,
    DhcpAnswer,
    Drop,
    Neighbour,
    NeighbourAnswer,
    Proxy,
    Replicate,
    Target,
)
from varpd.provider.arguments import check_station, is_station
from varpd.provider.errors import Panic, PropertyError
from varpd.provider.plugin import DynamicPlugin, Plugin, PointPlugin, State, StopReason
from varpd.provider.properties import Property, Value
from varpd.provider.query import REFRESH, Query
from varpd.provider.targets import check_target
from varpd.provider.testing.host import FakeHost

MAX_STATE: Final = 1 << 20
"""Largest state that `Plugin.save` may return, bytes of JSON."""

MAX_THREADS: Final = 8
"""How many operations of a blocking instance may be in progress at once."""

START_TIMEOUT: Final = 30.0
"""Seconds that `Plugin.start` has."""

STOP_TIMEOUT: Final = 5.0
"""Seconds that `Plugin.stop` has."""

_T = TypeVar("_T")


def thread_name(plugin: type[Plugin]) -> str:
    """Return the name of the threads that operations of a blocking plugin run in."""
    return f"operation of {plugin.name}"


class FakeGuard:
    """One instance, called as varpd calls it.

    Made and used within a running event loop. `faults` tells what the instance did wrong.
    """

    def __init__(self, instance: Plugin, host: FakeHost, *, timeout: float = 5.0) -> None:
        """Guard an instance that was just made with `host`.

        Args:
            instance: the instance.
            host: the host that it was made with.
            timeout: seconds that it has for an answer.
        """
        self.instance: Final = instance
        self.host: Final = host
        self.faults: list[str] = []
        """What went wrong, one line each."""
        self._timeout = timeout
        self._started = False
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._threads = asyncio.Semaphore(MAX_THREADS)
        self._open: set[asyncio.Task[Any]] = set()
        host.run(self._loop)

    @property
    def stopped(self) -> bool:
        """Whether the instance answers nothing: it was not started, or was stopped."""
        return not self._started

    async def start(self) -> None:
        """Start the instance, or close it and raise what its `start` raised."""
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self.instance.start()
        except BaseException:
            await self.host.stopped()
            self.close()
            raise
        self.host.started()
        self._started = True

    async def stop(self, reason: StopReason = StopReason.DELETED) -> None:
        """Drop the open questions, stop the instance, and close it."""
        if self._started:
            self._started = False
            await self._drop_questions()
            try:
                async with asyncio.timeout(STOP_TIMEOUT):
                    await self.instance.stop(reason)
            except TimeoutError:
                self.faults.append(f"stop took longer than {STOP_TIMEOUT} s")
            except (Exception, Panic) as exc:
                self._fault("stop", exc)
        await self.host.stopped()
        self.close()

    def close(self) -> None:
        """Close the instance."""
        if self._closed:
            return
        self._closed = True
        try:
            self.instance.close()
        except (Exception, Panic) as exc:
            self._fault("close", exc)
        self.host.closed()

    async def lookup(self, query: Query) -> Answer:
        """Ask where a frame goes; DROP where the instance does not answer or answers wrongly."""
        instance = self.instance
        if not isinstance(instance, DynamicPlugin):
            raise TypeError("only a DynamicPlugin is asked")
        check = functools.partial(self._check_answer, query)
        changes = self.host.changes(query.key)
        otherwise: Answer = DROP
        answer = await self._ask("lookup", instance.lookup, query, check=check, otherwise=otherwise)
        if not isinstance(answer, Target) or query.dst.is_group:
            return answer
        return self.host.install(query.dst, answer, changes) or DROP

    async def arp(self, address: IpAddress) -> NeighbourAnswer:
        """Ask who has an overlay address; DROP likewise."""
        instance = self.instance
        if not isinstance(instance, DynamicPlugin):
            raise TypeError("only a DynamicPlugin is asked")
        return await self._ask("arp", instance.arp, address, check=_check_neighbour, otherwise=DROP)

    async def dhcp(self, query: Query) -> DhcpAnswer:
        """Ask which MAC is the DHCP server for a frame; DROP likewise."""
        instance = self.instance
        if not isinstance(instance, DynamicPlugin):
            raise TypeError("only a DynamicPlugin is asked")
        return await self._ask("dhcp", instance.dhcp, query, check=_check_dhcp, otherwise=DROP)

    async def default(self) -> Target | Drop:
        """Ask where everything goes; DROP likewise."""
        instance = self.instance
        if not isinstance(instance, PointPlugin):
            raise TypeError("only a PointPlugin is asked")
        return await self._ask(
            "default", instance.default, check=self._check_default, otherwise=DROP, plain=True
        )

    async def enumerate(self) -> list[tuple[MacAddress, Target]]:
        """Ask for all that the instance knows; what is wrong is left out."""
        instance = self.instance
        if not isinstance(instance, DynamicPlugin):
            raise TypeError("only a DynamicPlugin is asked")

        def everything() -> list[tuple[bytes, Target]]:
            return list(instance.enumerate())

        def check(pairs: Any) -> list[tuple[MacAddress, Target]]:
            return [(check_station(mac), self._check_target(target)) for mac, target in pairs]

        return await self._ask("enumerate", everything, check=check, otherwise=[], plain=True)

    async def save(self) -> State | None:
        """Ask for the state; None where there is none or it is no state."""
        return await self._ask(
            "save", self.instance.save, check=_check_state, otherwise=None, plain=True
        )

    async def reload(self) -> None:
        """Let the instance read its data again."""
        await self._ask("reload", self.instance.reload, check=_check_nothing, otherwise=None)

    async def set_property(self, name: str, value: Value | None) -> None:
        """Set a property as an operator does: checked by its declaration, then by the plugin.

        Raises:
            PropertyError: the value is refused.
        """
        if value is not None:
            declared = {item.name: item for item in self.declared()}
            if name in declared:
                value = declared[name].check(value)
        await self._call(functools.partial(self.instance.set_property, name, value))

    async def set_properties(self, values: Mapping[str, Value]) -> None:
        """Set those of `values` that are declared and differ from what there is: all or none.

        Raises:
            PropertyError: a value is refused; the others are as they were.
        """
        before: dict[str, Value | None] = {}
        try:
            for declared in self.declared():
                name = declared.name
                old = self.instance.get_property(name)
                if name in values and values[name] != old:
                    await self.set_property(name, values[name])
                    before[name] = None if old == declared.default else old
        except PropertyError:
            for name, old in before.items():
                await self.set_property(name, old)
            raise

    def declared(self) -> tuple[Property, ...]:
        """Return the declarations of the instance's properties."""
        return self.instance.properties(self.instance.destination)

    async def _drop_questions(self) -> None:
        """Cancel the Tasks of the open questions; a thread's work cannot be ended, only left."""
        questions = set(self._open)
        for task in questions:
            task.cancel()
        if questions:
            _, stubborn = await asyncio.wait(questions, timeout=STOP_TIMEOUT)
            if stubborn:
                self.faults.append("an operation went on after it was cancelled")

    async def _ask(
        self,
        name: str,
        operation: Callable[..., Any],
        *arguments: object,
        check: Callable[[Any], _T],
        otherwise: _T,
        plain: bool = False,
    ) -> _T:
        """Call an operation and return its checked answer, or `otherwise`."""
        if self.stopped:
            return otherwise
        task = self._loop.create_task(
            self._call(functools.partial(operation, *arguments), plain=plain)
        )
        self._open.add(task)
        try:
            # The operation itself is not cancelled by a time-out, only by the stop.
            done, _ = await asyncio.wait({task}, timeout=self._timeout)
            if not done:
                self.faults.append(f"{name}: no answer after {self._timeout} s")
                return otherwise
            if task.cancelled() or self.stopped:
                return otherwise
            return check(task.result())
        except (Exception, Panic) as exc:
            self._fault(name, exc)
            return otherwise
        finally:
            if task.done():
                self._open.discard(task)
            else:
                task.add_done_callback(self._open.discard)

    async def _call(self, operation: Callable[[], Any], *, plain: bool = False) -> Any:
        """Call an operation the way that its plugin wants, and wait for what it returns."""
        if self.instance.blocking and not inspect.iscoroutinefunction(_underlying(operation)):
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

        threading.Thread(target=work, name=thread_name(type(self.instance)), daemon=True).start()
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

    def _fault(self, operation: str, exc: BaseException) -> None:
        words = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
        self.faults.append(f"{operation}: {words}")

    def _check_target(self, target: object) -> Target:
        local = None if self.host.local is None else self.host.local.ip
        family = None if local is None else local.version
        return check_target(target, self.instance.destination, family)

    def _check_answer(self, query: Query, answer: object) -> Answer:
        match answer:
            case Drop():
                return answer
            case Target():
                return self._check_target(answer)
            case Proxy() | Replicate() if query.cause is REFRESH:
                raise TypeError(f"{answer} does not answer a query with cause REFRESH")
            case Proxy():
                needed = "dhcp" if answer is Proxy.DHCP else "arp"
                if getattr(type(self.instance), needed) is getattr(DynamicPlugin, needed):
                    raise TypeError(f"{answer} without an operation {needed!r}")
                return answer
            case Replicate(targets=targets) if isinstance(targets, tuple):
                return Replicate(tuple(self._check_target(target) for target in targets))
            case _:
                raise TypeError(f"not an answer: {answer!r}")

    def _check_default(self, answer: object) -> Target | Drop:
        return answer if isinstance(answer, Drop) else self._check_target(answer)


def _is_future(answer: object) -> TypeGuard[Future[Any]]:
    return isinstance(answer, Future)


def _is_mapping(state: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(state, Mapping)


def _underlying(operation: Callable[[], Any]) -> Callable[..., Any]:
    return operation.func if isinstance(operation, functools.partial) else operation


def _check_neighbour(answer: object) -> NeighbourAnswer:
    match answer:
        case Drop():
            return answer
        case Neighbour(mac=mac) | (bytes() as mac) if is_station(mac):
            return answer if isinstance(answer, Neighbour) else MacAddress(mac)
        case _:
            raise TypeError(f"not the MAC address of a station, a Neighbour, or DROP: {answer!r}")


def _check_dhcp(answer: object) -> DhcpAnswer:
    if isinstance(answer, Drop):
        return answer
    if isinstance(answer, bytes) and is_station(answer):
        return MacAddress(answer)
    raise TypeError(f"not the MAC address of a station, or DROP: {answer!r}")


def _check_state(state: object) -> State:
    if not _is_mapping(state):
        raise TypeError(f"the state is no JSON object but {type(state).__name__}")
    text = json.dumps(dict(state), allow_nan=False)
    if len(text.encode()) > MAX_STATE:
        raise ValueError(f"the state is larger than {MAX_STATE} bytes")
    loaded: dict[str, Any] = json.loads(text)
    if loaded != dict(state):
        raise ValueError("the state does not come back from JSON as it went in")
    return loaded


def _check_nothing(answer: object) -> None:
    if answer is not None:
        raise TypeError(f"nothing was asked for, but it returned {answer!r}")
