"""Tests of the suite's checks: for each, plugins that break its promise and must not pass."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Iterable
from ipaddress import IPv4Address
from typing import Any, Self

import pytest
from blockbuster import BlockBuster

from support.probes import (
    JUNK,
    KNOWN,
    NEIGHBOURS,
    ONE,
    ROUTER,
    TWO,
    VALUES,
    WEB,
    BlockingLoopProbe,
    FailingStartProbe,
    GoodProbe,
    HangingProbe,
    LateProbe,
    OtherLoopProbe,
    PanickingProbe,
    PointProbe,
    RaisingProbe,
    StubbornProbe,
    junk_probe,
)
from varpd.net.addresses import BROADCAST
from varpd.provider import (
    DROP,
    Answer,
    DestinationKind,
    Host,
    IpAddress,
    Later,
    MacAddress,
    NeighbourAnswer,
    PointPlugin,
    Property,
    PropertyMissing,
    PropertyType,
    Query,
    State,
    StopReason,
    Target,
    Unsupported,
    Value,
)
from varpd.provider.testing import checks
from varpd.provider.testing.case import Case
from varpd.provider.testing.suite import run
from varpd.provider.testing.watch import Watchdog


def case_of(plugin: type[Any], **changes: Any) -> Case:
    given: dict[str, Any] = {
        "values": VALUES,
        "answers": [(WEB, ONE), (ROUTER, TWO)],
        "neighbours": list(NEIGHBOURS.items()),
        "dhcp": [(BROADCAST, ROUTER)],
    }
    return Case(plugin=plugin, **given | changes)


def fails(check: checks.Check, plugin: type[Any], words: str | None = None, **changes: Any) -> None:
    with pytest.raises(AssertionError, match=words):
        run(check, case_of(plugin, **changes))


def test_a_class_that_cannot_be_registered_fails() -> None:
    class Nameless(GoodProbe):
        api_version = 1
        name = "No Name"

    fails(checks.registers, Nameless, "bad-name")


def test_a_plugin_that_takes_kinds_it_cannot_supply_fails() -> None:
    class Careless(GoodProbe):
        supplies = None

    fails(checks.refuses_kinds_it_cannot_supply, Careless, "ETHERNET")


def test_a_plugin_that_does_not_name_what_it_refuses_fails() -> None:
    class Curt(GoodProbe):
        supplies = None

        def __init__(self, host: Host, destination: DestinationKind) -> None:
            super().__init__(host, destination)
            if DestinationKind.ETHERNET in destination:
                raise Unsupported("no")

    fails(checks.refuses_kinds_it_cannot_supply, Curt, "does not name")


def test_a_plugin_that_refuses_what_its_answers_are_for_fails() -> None:
    fails(
        checks.refuses_kinds_it_cannot_supply, GoodProbe, "refuses", destination=DestinationKind.IP
    )


class Careless(GoodProbe):
    """Starts without its required properties."""

    async def start(self) -> None:
        pass


class Hasty(GoodProbe):
    """Names only the first missing property."""

    async def start(self) -> None:
        try:
            await super().start()
        except PropertyMissing as exc:
            raise PropertyMissing(exc.names[:1]) from exc


@pytest.mark.parametrize(("plugin", "words"), [(Careless, "starts without"), (Hasty, "names")])
def test_a_plugin_that_does_not_name_all_that_is_missing_fails(
    plugin: type[GoodProbe], words: str
) -> None:
    fails(checks.names_every_missing_property, plugin, words)


class Eager(GoodProbe):
    """Keeps a value and then refuses it."""

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        if isinstance(value, str | int):
            self._values[name] = value
        return super().set_property(name, value)


class Rude(GoodProbe):
    """Refuses with something else than `PropertyInvalid`."""

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        if value == "nowhere":
            raise KeyError(value)
        return super().set_property(name, value)


class Amnesic(GoodProbe):
    """Forgets what it knows when it refuses a value."""

    forgot = False

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        self.forgot = self.forgot or value == "nowhere"
        return super().set_property(name, value)

    def where(self, query: Query) -> Answer:
        return DROP if self.forgot else super().where(query)


class Ignorant(GoodProbe):
    """Takes properties that it never declared."""

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        if name.startswith("probe/"):
            return super().set_property(name, value)
        return None


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (Eager, "was refused: probe/site: north -> nowhere"),
        (Rude, "no PropertyInvalid but KeyError"),
        (Amnesic, "answers changed"),
        (Ignorant, "does not refuse no_such_property"),
    ],
)
def test_a_plugin_that_refuses_badly_fails(plugin: type[GoodProbe], words: str) -> None:
    fails(
        checks.a_refused_value_changes_nothing, plugin, words, refused=[("probe/site", "nowhere")]
    )


def test_a_value_that_should_be_refused_and_is_taken_fails() -> None:
    fails(
        checks.a_refused_value_changes_nothing,
        GoodProbe,
        "does not refuse",
        refused=[("probe/site", "south")],
    )


def test_a_refused_sample_that_changed_something_fails() -> None:
    class Sloppy(GoodProbe):
        def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
            if value == "\x01":
                self._values["probe/weight"] = 99
                value = "nowhere"
            return super().set_property(name, value)

    fails(checks.a_refused_value_changes_nothing, Sloppy, "probe/weight: 1 -> 99")


class Shouting(GoodProbe):
    """Changes the values that it is given."""

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        return super().set_property(name, value.upper() if isinstance(value, str) else value)


class Clinging(GoodProbe):
    """Never goes back to a default."""

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        return None if value is None else super().set_property(name, value)


@pytest.mark.parametrize("plugin", [Shouting, Clinging])
def test_a_plugin_that_does_not_hold_what_was_set_fails(plugin: type[GoodProbe]) -> None:
    fails(checks.properties_hold_what_was_set, plugin, "probe/site")


def test_instances_that_share_values_fail() -> None:
    shared: dict[str, Value] = {}

    class Sharing(GoodProbe):
        def __init__(self, host: Host, destination: DestinationKind) -> None:
            super().__init__(host, destination)
            self._values = shared

    fails(checks.instances_do_not_share_values, Sharing, "properties changed")


class Confused(GoodProbe):
    """Takes one MAC for the other."""

    def where(self, query: Query) -> Answer:
        return TWO if query.key == WEB else ONE


class Lost(GoodProbe):
    """Knows nobody."""

    def arp(self, address: IpAddress) -> Later[NeighbourAnswer]:
        return DROP


@pytest.mark.parametrize(
    "plugin", [Confused, Lost, RaisingProbe, PanickingProbe, OtherLoopProbe, FailingStartProbe]
)
def test_a_plugin_that_answers_wrongly_fails(plugin: type[GoodProbe]) -> None:
    with pytest.raises((AssertionError, ConnectionError)):
        run(checks.answers_as_expected, case_of(plugin))


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_a_plugin_that_answers_junk_fails(junk: object) -> None:
    fails(checks.answers_as_expected, junk_probe(junk), answers=[(WEB, DROP)])


def test_a_point_plugin_with_another_target_fails() -> None:
    fails(checks.answers_as_expected, PointProbe, default=TWO, values={})


def test_a_point_plugin_with_a_bad_target_fails() -> None:
    class Bad(PointPlugin):
        name = "bad"

        def default(self) -> Target:
            return Target(ip=IPv4Address("127.0.0.1"), port=1)

    fails(checks.answers_as_expected, Bad, "loopback", values={})


def test_a_plugin_that_sends_the_unknown_somewhere_fails() -> None:
    class Guessing(GoodProbe):
        def where(self, query: Query) -> Answer:
            return KNOWN.get(query.key, ONE)

    fails(checks.what_it_does_not_know_is_dropped, Guessing, "unknown")


class Boasting(GoodProbe):
    """Enumerates what it does not look up."""

    def enumerate(self) -> Iterable[tuple[bytes, Target]]:
        return [(MacAddress.parse("02:00:5e:00:53:99"), ONE)]


class Vague(GoodProbe):
    """Enumerates a group."""

    def enumerate(self) -> Iterable[tuple[bytes, Target]]:
        return [(BROADCAST, ONE)]


@pytest.mark.parametrize(("plugin", "words"), [(Boasting, "enumerated"), (Vague, "one station")])
def test_a_plugin_that_enumerates_wrongly_fails(plugin: type[GoodProbe], words: str) -> None:
    fails(checks.tells_what_it_knows, plugin, words)


def test_a_plugin_that_mixes_up_questions_in_progress_fails() -> None:
    class Mixing(GoodProbe):
        asked = 0

        async def lookup(self, query: Query) -> Answer:
            self.asked += 1
            alone = self.asked == 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            alone = alone and self.asked == 1
            self.asked -= 1
            return self.where(query) if alone else DROP

    fails(checks.answers_at_once_as_one_by_one, Mixing, "several were asked at once")


def test_a_plugin_that_blocks_the_loop_fails(blockbuster: BlockBuster) -> None:
    # The suite has to find it by itself, as it does for authors.
    blockbuster.deactivate()

    class Sleepy(BlockingLoopProbe):
        seconds = 0.0

    fails(checks.does_not_block_the_loop, Sleepy, "Blocking call")


def test_a_plugin_that_computes_for_long_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(GoodProbe):
        def lookup(self, query: Query) -> Later[Answer]:
            self.calls.append("lookup")
            end = time.monotonic() + (0.5 if self.calls.count("lookup") == 1 else 0.0)
            while time.monotonic() < end:
                pass
            return self.where(query)

    monkeypatch.setattr(Watchdog.__init__, "__defaults__", (0.02,))
    fails(checks.does_not_block_the_loop, Busy, "blocks the event loop")


def test_a_plugin_that_does_not_let_go_of_its_questions_fails() -> None:
    class Deaf(GoodProbe):
        async def stop(self, reason: StopReason) -> None:
            raise RuntimeError("questions are open")

    fails(checks.survives_questions_open_at_stop, Deaf, "questions are open")


class Fussy(GoodProbe):
    """Cannot be stopped for one reason."""

    async def stop(self, reason: StopReason) -> None:
        if reason is StopReason.FAULT:
            raise RuntimeError("whose fault?")


class Unborn(GoodProbe):
    """Cannot be closed before it was started."""

    connected = False

    async def start(self) -> None:
        await super().start()
        self.connected = True

    def close(self) -> None:
        if not self.connected:
            raise RuntimeError("not connected")


@pytest.mark.parametrize(("plugin", "words"), [(Fussy, "whose fault"), (Unborn, "not connected")])
def test_a_plugin_that_cannot_end_in_any_way_fails(plugin: type[GoodProbe], words: str) -> None:
    fails(checks.survives_any_end, plugin, words)


def test_a_plugin_that_leaves_a_task_fails() -> None:
    class Littering(GoodProbe):
        async def start(self) -> None:
            await super().start()
            self.task = asyncio.get_running_loop().create_task(
                asyncio.Event().wait(), name="litter"
            )

    fails(checks.leaves_nothing_behind, Littering, "litter")


def test_a_plugin_that_leaves_a_thread_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()

    class Littering(GoodProbe):
        async def start(self) -> None:
            await super().start()
            self.host.log.info("begin")
            threading.Thread(target=end.wait, name="litter").start()

    monkeypatch.setattr("varpd.provider.testing.watch.GRACE", 0.02)
    fails(checks.leaves_nothing_behind, Littering, "litter")
    end.set()


def test_a_plugin_that_forgets_all_when_it_reloads_fails() -> None:
    class Forgetful(GoodProbe):
        known = True

        async def reload(self) -> None:
            self.known = False

        def where(self, query: Query) -> Answer:
            return super().where(query) if self.known else DROP

    fails(checks.reloads, Forgetful, "reloaded")


class Blank(GoodProbe):
    """Saves nothing."""

    def save(self) -> State:
        return {}


class Unwritable(GoodProbe):
    """Saves what JSON cannot hold."""

    def save(self) -> State:
        return {"where": KNOWN}


class Oblivious(GoodProbe):
    """Restores its properties and nothing else."""

    learned = True

    def where(self, query: Query) -> Answer:
        return super().where(query) if self.learned else DROP

    @classmethod
    def restore(cls, state: State, host: Host, destination: DestinationKind) -> Self:
        instance = super().restore(state, host, destination)
        instance.learned = False
        return instance


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (Blank, "properties changed"),
        (Unwritable, "save"),
        (Oblivious, "answers changed"),
    ],
)
def test_a_plugin_that_does_not_come_back_as_it_was_fails(
    plugin: type[GoodProbe], words: str
) -> None:
    fails(checks.restores_what_it_saved, plugin, words)


@pytest.mark.parametrize("plugin", [HangingProbe, StubbornProbe, LateProbe])
def test_a_plugin_whose_questions_are_open_at_the_stop_passes(plugin: type[GoodProbe]) -> None:
    run(checks.survives_questions_open_at_stop, case_of(plugin))


def test_a_plugin_that_takes_any_address_passes() -> None:
    class Numbered(GoodProbe):
        @classmethod
        def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
            return (*super().properties(destination), Property("probe/ip", PropertyType.IP))

    run(checks.a_refused_value_changes_nothing, case_of(Numbered))
