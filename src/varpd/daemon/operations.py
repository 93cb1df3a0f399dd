"""The operations of one object of a plugin that are no questions.

All of them raise `ProviderError` where the plugin says no, and `OperationFailed` where anything
else goes wrong, a panic that the plugin swallowed included.
"""

import asyncio
import concurrent.futures
import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from varpd.daemon.calls import Caller, OperationFailed
from varpd.daemon.exchange import Owner
from varpd.daemon.guard import STOPPED, Given
from varpd.daemon.host import Place
from varpd.daemon.mailbox import Mailbox
from varpd.engine.events import Failed, Question
from varpd.provider.answers import Drop, Target
from varpd.provider.errors import Claimed, PropertyInvalid, ProviderError
from varpd.provider.host import Host
from varpd.provider.judge import AnswerFault, Judge, Operation
from varpd.provider.plugin import DynamicPlugin, Endpoint, Plugin, PointPlugin, State, StopReason
from varpd.provider.properties import HIDDEN, Value
from varpd.provider.query import REFRESH, Query
from varpd.provider.state import check_state

STOP_TIMEOUT: Final = 5.0
"""Seconds that `stop` has, and a blocking plugin's `close`."""


def questions_of(plugin: DynamicPlugin) -> dict[Operation, Callable[[Any], object]]:
    """Return what answers the questions of each operation."""
    return {
        Operation.LOOKUP: plugin.lookup,
        Operation.ARP: lambda question: plugin.arp(question.address),
        Operation.DHCP: plugin.dhcp,
    }


class Operations:
    """Calls one object of a plugin, which `make` makes."""

    def __init__(
        self, place: Place, caller: Caller, judge: Judge, mailbox: Mailbox, owner: Owner
    ) -> None:
        """Take what the object is for, and what calls need."""
        self.plugin: Plugin | None = None
        """The object, from `make` to `close`."""
        self._place = place
        self._caller = caller
        self._judge = judge
        self._mailbox = mailbox
        self._owner = owner

    def make(self, host: Host, state: State | None) -> None:
        """Make the object, for a state by `restore`."""
        place = self._place
        if state is None:
            made: object = self._caller.plain(
                "constructor", lambda: place.plugin(host, place.kinds)
            )
        else:
            own = copy.deepcopy(state)
            made = self._caller.plain(
                "restore", lambda: place.plugin.restore(own, host, place.kinds)
            )
        if not isinstance(made, place.plugin):
            message = f"restore returned {type(made).__name__}, not a {place.plugin.__name__}"
            self._owner.fault(message)
            raise OperationFailed(message)
        self.plugin = made
        self.look_for_panic()

    async def set_property(self, name: str, value: Value | None, timeout: float) -> None:
        """Set a property that was checked against its declaration."""
        plugin = self._made()
        operation = partial(plugin.set_property, name, value)
        try:
            await self._caller.run("set_property", operation, timeout)
        except PropertyInvalid as exc:
            if not self._is_secret(name):
                raise
            raise PropertyInvalid(name, HIDDEN, exc.why) from None
        self.look_for_panic()

    async def make_values(
        self, values: Mapping[str, Value], timeout: float, *, restored: bool
    ) -> None:
        """Make the properties be `values`, and after a restore nothing else."""
        for declared in self._place.plugin.properties(self._place.kinds):
            wanted = values.get(declared.name)
            if wanted is None and not restored:
                continue
            if self.get_property(declared.name) != (declared.default if wanted is None else wanted):
                await self.set_property(declared.name, wanted, timeout)

    async def set_all(
        self,
        changes: Mapping[str, Value | None],
        old: Mapping[str, Value],
        timeout: float,
    ) -> None:
        """Set properties, all or none."""
        tried: list[str] = []
        try:
            for name, value in changes.items():
                tried.append(name)
                await self.set_property(name, value, timeout)
        except (ProviderError, OperationFailed) as exc:
            if isinstance(exc, ProviderError):
                # What is refused changed nothing.
                tried.pop()
            for name in reversed(tried):
                await self.last(
                    "set_property", partial(self._made().set_property, name, old.get(name)), timeout
                )
            raise

    def get_property(self, name: str) -> Value | None:
        """Return what the plugin says about a property."""
        plugin = self._made()
        return self._caller.plain("get_property", lambda: plugin.get_property(name))

    async def start(self, timeout: float) -> None:
        """Start the plugin."""
        await self._caller.run("start", self._made().start, timeout, on_loop=True)

    async def default(self, timeout: float) -> Target | None:
        """Return where a POINT instance sends everything, or None for nowhere."""
        plugin = self._made()
        if not isinstance(plugin, PointPlugin):
            raise OperationFailed("the plugin has no default target")
        value = await self._caller.run("default", plugin.default, timeout)
        self.look_for_panic()
        if isinstance(value, Drop):
            return None
        try:
            return self._judge.target(value)
        except AnswerFault as exc:
            message = f"default answered a {exc}"
            self._owner.fault(message)
            raise OperationFailed(message) from exc

    async def probe(self, operation: Operation, question: Question, timeout: float) -> Given:
        """Ask a question whose answer changes nothing; never raises.

        The question goes past the guard: it is none of the engine's, which waits for no answer.
        """
        plugin = self.plugin
        if not isinstance(plugin, DynamicPlugin):
            return STOPPED
        call = questions_of(plugin)[operation]
        try:
            value = await self._caller.run(operation.value, partial(call, question), timeout)
            if isinstance(value, concurrent.futures.Future):
                value = await asyncio.wait_for(asyncio.wrap_future(value), timeout)
            self.look_for_panic()
            refresh = isinstance(question, Query) and question.cause is REFRESH
            return self._judge.answer(operation, value, refresh=refresh)
        except TimeoutError:
            return Failed(f"no answer in {timeout:g} s")
        except (ProviderError, OperationFailed, AnswerFault) as exc:
            return Failed(str(exc))
        except Exception as exc:  # a Future of the plugin may hold any
            return Failed(self._caller.raised(operation.value, exc))

    async def save(self, timeout: float) -> State:
        """Return a copy of what the plugin saves."""
        value = await self._caller.run("save", self._made().save, timeout)
        self.look_for_panic()
        return self._caller.plain("save", lambda: check_state(value))

    async def reload(self, timeout: float) -> None:
        """Have the plugin read its data again."""
        await self._caller.run("reload", self._made().reload, timeout, on_loop=True)

    @property
    def publishes(self) -> bool:
        """Whether the plugin wants to know where guests are."""
        return type(self._made()).local_endpoint is not Plugin.local_endpoint

    async def local_endpoint(self, endpoint: Endpoint, present: bool, timeout: float) -> None:
        """Tell the plugin of an endpoint on this host.

        Raises:
            Claimed: another host has it.
            OperationFailed: anything else went wrong.
        """
        operation = partial(self._made().local_endpoint, endpoint, present)
        try:
            await self._caller.run("local_endpoint", operation, timeout)
        except Claimed:
            raise
        except ProviderError as exc:
            message = f"local_endpoint raised {type(exc).__name__}: {exc}"
            self._owner.fault(message, exc)
            raise OperationFailed(message) from exc
        self.look_for_panic()

    async def stop(self, reason: StopReason) -> None:
        """Stop the plugin; raises nothing."""
        await self.last("stop", partial(self._made().stop, reason), on_loop=True)

    async def close(self) -> None:
        """Close the object, if there is one; raises nothing."""
        plugin, self.plugin = self.plugin, None
        if plugin is not None:
            await self.last("close", plugin.close)

    async def last(
        self,
        name: str,
        operation: Callable[[], object],
        timeout: float = STOP_TIMEOUT,
        *,
        on_loop: bool = False,
    ) -> None:
        """Call an operation that has to be tried whatever happens; raises nothing."""
        try:
            await self._caller.run(name, operation, timeout, on_loop=on_loop, final=True)
        except ProviderError as exc:
            self._owner.fault(f"{name} raised {type(exc).__name__}: {exc}", exc)
        except OperationFailed:
            # Its fault was reported; the end goes on.
            return

    def look_for_panic(self) -> None:
        """Fail if the instance gave up, even if it swallowed the exception."""
        panic = self._mailbox.panic
        if panic is not None:
            self._owner.panicked(panic)
            raise OperationFailed(f"panic: {panic.message}")

    def _is_secret(self, name: str) -> bool:
        declared = self._place.plugin.properties(self._place.kinds)
        return any(item.secret and item.name == name for item in declared)

    def _made(self) -> Plugin:
        if self.plugin is None:
            raise OperationFailed(STOPPED.reason)
        return self.plugin
