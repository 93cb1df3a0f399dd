"""Calls an instance as varpd does, without varpd.

Whatever an instance does wrong becomes a line in `FakeGuard.faults`, and DROP its answer.
"""

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from varpd.net.addresses import IpAddress, MacAddress
from varpd.provider.answers import DROP, Answer, DhcpAnswer, Drop, NeighbourAnswer, Target
from varpd.provider.arguments import check_station
from varpd.provider.errors import Panic, PropertyError
from varpd.provider.judge import Judge, dhcp_answer, neighbour_answer
from varpd.provider.plugin import DynamicPlugin, Plugin, PointPlugin, State, StopReason
from varpd.provider.properties import Property, Value
from varpd.provider.query import REFRESH, Query
from varpd.provider.state import check_state
from varpd.provider.testing.calls import Calls
from varpd.provider.testing.host import FakeHost

START_TIMEOUT: Final = 30.0
"""Seconds that `Plugin.start` has."""

STOP_TIMEOUT: Final = 5.0
"""Seconds that `Plugin.stop` has."""

_T = TypeVar("_T")


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
        self._calls = Calls(type(instance))
        self._judge = Judge(
            type(instance),
            instance.destination,
            host.family,
            lambda target: host.log.warning("target of the other family", target=str(target)),
            Counter(),
        )
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
        refresh, group = query.cause is REFRESH, query.dst.is_group
        check = functools.partial(self._judge.lookup, refresh=refresh, group=group)
        changes = self.host.changes(query.key)
        lookup = _dynamic(self.instance).lookup
        otherwise: Answer = DROP
        answer = await self._ask("lookup", lookup, query, check=check, otherwise=otherwise)
        if not isinstance(answer, Target) or query.dst.is_group:
            return answer
        return self.host.install(query.dst, answer, changes) or DROP

    async def arp(self, address: IpAddress) -> NeighbourAnswer:
        """Ask who has an overlay address; DROP likewise."""
        arp = _dynamic(self.instance).arp
        return await self._ask("arp", arp, address, check=neighbour_answer, otherwise=DROP)

    async def dhcp(self, query: Query) -> DhcpAnswer:
        """Ask which MAC is the DHCP server for a frame; DROP likewise."""
        dhcp = _dynamic(self.instance).dhcp
        return await self._ask("dhcp", dhcp, query, check=dhcp_answer, otherwise=DROP)

    async def default(self) -> Target | Drop:
        """Ask where everything goes; DROP likewise."""
        instance = self.instance
        if not isinstance(instance, PointPlugin):
            raise TypeError("only a PointPlugin is asked")

        def check(answer: object) -> Target | Drop:
            return answer if isinstance(answer, Drop) else self._good_target(answer)

        return await self._ask("default", instance.default, check=check, otherwise=DROP, plain=True)

    async def enumerate(self) -> list[tuple[MacAddress, Target]]:
        """Ask for all that the instance knows; what varpd cannot use is left out."""
        instance = _dynamic(self.instance)

        def everything() -> list[tuple[bytes, Target]]:
            return list(instance.enumerate())

        def check(pairs: Any) -> list[tuple[MacAddress, Target]]:
            known = [(check_station(mac), self._good_target(target)) for mac, target in pairs]
            return [(mac, target) for mac, target in known if isinstance(target, Target)]

        return await self._ask("enumerate", everything, check=check, otherwise=[], plain=True)

    async def save(self) -> State | None:
        """Ask for the state; None where there is none or it is no state."""
        return await self._ask(
            "save", self.instance.save, check=check_state, otherwise=None, plain=True
        )

    async def reload(self) -> None:
        """Let the instance read its data again."""
        await self._ask("reload", self.instance.reload, check=_nothing, otherwise=None)

    async def set_property(self, name: str, value: Value | None) -> None:
        """Set a property as an operator does: checked by its declaration, then by the plugin.

        Raises:
            PropertyError: the value is refused.
        """
        if value is not None:
            declared = {item.name: item for item in self.declared()}
            if name in declared:
                value = declared[name].check(value)
        await self._calls.call(functools.partial(self.instance.set_property, name, value))

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
            self._calls.call(functools.partial(operation, *arguments), plain=plain)
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

    def _fault(self, operation: str, exc: BaseException) -> None:
        words = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
        self.faults.append(f"{operation}: {words}")

    def _good_target(self, target: object) -> Target | Drop:
        return self._judge.target(target) or DROP


def _dynamic(instance: Plugin) -> DynamicPlugin:
    if not isinstance(instance, DynamicPlugin):
        raise TypeError("only a DynamicPlugin is asked")
    return instance


def _nothing(answer: object) -> None:
    if answer is not None:
        raise TypeError(f"nothing was asked for, but it returned {answer!r}")
