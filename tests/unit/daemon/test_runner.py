"""The runner: order, batches, answers within the turn, faults, the timer."""

import asyncio
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from ipaddress import IPv4Address
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from varpd.daemon.degradation import CauseKind
from varpd.daemon.questions import Questions
from varpd.daemon.runner import Runner
from varpd.datapath.base import Datapath, Sink
from varpd.engine import commands, events
from varpd.engine.commands import Command, DatapathCommand
from varpd.engine.events import Event, Failed, NeighbourQuestion
from varpd.provider.answers import DROP, Target
from varpd.provider.query import Query

TARGET = Target(port=4789)
HERE = Target(port=4790)
DUE = 5.0


class ScriptedEngine:
    """Does what a test says for each type of event, and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Event, float]] = []
        self.replies: dict[type, list[Command] | Exception] = {}
        self.deadline: float | None = None

    def handle(self, event: Event, now: float) -> list[Command]:
        self.told.append((event, now))
        reply = self.replies.get(type(event), [])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def next_deadline(self) -> float | None:
        return self.deadline

    def is_here(self, overlay: str, target: Target) -> bool:
        return target == HERE

    @property
    def events(self) -> list[Event]:
        return [event for event, _ in self.told]


class RecordingDatapath:
    """Keeps the batches that it was given."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.batches: list[list[DatapathCommand]] = []
        self.during: Callable[[], None] = lambda: None

    def apply(self, batch: Sequence[DatapathCommand]) -> None:
        self.batches.append(list(batch))
        self.during()


class ScriptedInstance:
    """Answers what a test says."""

    def __init__(self) -> None:
        self.asked: list[Questions] = []
        self.said: list[object] = []
        self.replies: list[Event] = []
        self.breaks = False

    def ask(self, command: Questions) -> list[Event]:
        if self.breaks:
            raise RuntimeError("broken")
        self.asked.append(command)
        return self.replies

    def cancel(self, command: commands.CancelQuestions) -> None:
        self.said.append(command)

    def see_ports(self, ports: tuple[str, ...]) -> None:
        self.said.append(ports)

    def fault(self, message: str) -> None:
        self.said.append(("fault", message))

    def degrade(self, cause: CauseKind, message: str) -> None:
        self.said.append((cause, message))

    def clear(self, cause: CauseKind) -> None:
        self.said.append((cause, None))


class Wheel:
    """A runner with scripted parts."""

    def __init__(self) -> None:
        self.engine = ScriptedEngine()
        self.instance = ScriptedInstance()
        self.runner = Runner(
            self.engine,
            lambda sink: cast(Datapath, RecordingDatapath(sink)),
            asyncio.get_running_loop(),
        )
        self.runner.instances["blue"] = self.instance
        self.datapath = cast(RecordingDatapath, self.runner.datapath)


@pytest.fixture
async def wheel() -> Wheel:
    return Wheel()


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged; formatting a traceback would read files, which blocks the loop."""
    with capture_logs() as captured:
        yield captured


async def test_the_engine_says_which_targets_are_this_host(wheel: Wheel) -> None:
    assert wheel.runner.is_here("blue", HERE)
    assert not wheel.runner.is_here("blue", TARGET)


def resend(*packets: bytes, overlay: str = "blue") -> commands.Resend:
    return commands.Resend(overlay, TARGET, list(packets))


def query() -> Query:
    return Query(key=b"\2\0\0\0\0\1", vnetid=7)


PUNT = events.FramesPunted("blue", [b"frame"])


async def test_commands_for_the_datapath_go_out_together_in_order(wheel: Wheel) -> None:
    first, second = resend(b"1"), commands.RemoveRows("blue", [b"mac"])
    wheel.engine.replies[events.FramesPunted] = [first, second]

    wheel.runner.feed(PUNT)

    assert wheel.datapath.batches == [[first, second]]


async def test_the_engine_is_told_the_time_of_the_loop(wheel: Wheel) -> None:
    before = asyncio.get_running_loop().time()
    wheel.runner.feed(PUNT)
    ((_, now),) = wheel.engine.told
    assert before <= now <= asyncio.get_running_loop().time()


async def test_a_plain_answer_comes_within_the_turn_behind_older_commands(
    wheel: Wheel,
) -> None:
    asked = query()
    before, between, after = resend(b"before"), resend(b"between"), resend(b"after")
    answer = events.LookupsAnswered("blue", [asked], [DROP])
    wheel.instance.replies = [answer]
    wheel.engine.replies[events.FramesPunted] = [
        before,
        commands.StartLookups("blue", [asked]),
        after,
    ]
    wheel.engine.replies[events.LookupsAnswered] = [between]

    wheel.runner.feed(PUNT)

    assert wheel.engine.events == [PUNT, answer]
    assert wheel.datapath.batches == [[before], [after, between]]


async def test_what_is_known_goes_out_before_the_plugin_is_asked(wheel: Wheel) -> None:
    sent_when_asked: list[int] = []

    class Looking(ScriptedInstance):
        def ask(self, command: Questions) -> list[Event]:
            sent_when_asked.append(len(wheel.datapath.batches))
            return []

    wheel.runner.instances["blue"] = Looking()
    wheel.engine.replies[events.FramesPunted] = [
        resend(b"known"),
        commands.StartLookups("blue", [query()]),
    ]
    wheel.runner.feed(PUNT)
    assert sent_when_asked == [1]


async def test_a_chain_of_plain_answers_of_any_length_does_not_recurse(wheel: Wheel) -> None:
    left = 5_000

    class Endless(ScriptedInstance):
        def ask(self, command: Questions) -> list[Event]:
            nonlocal left
            left -= 1
            return [PUNT] if left else []

    wheel.runner.instances["blue"] = Endless()
    wheel.engine.replies[events.FramesPunted] = [commands.StartLookups("blue", [query()])]
    wheel.runner.feed(PUNT)
    assert left == 0


async def test_what_is_fed_from_inside_a_turn_has_a_turn_of_its_own_afterwards(
    wheel: Wheel,
) -> None:
    refused = events.RowsRefused("blue", [b"mac"], "full")
    wheel.engine.replies[events.FramesPunted] = [resend(b"1")]
    wheel.datapath.during = lambda: wheel.runner.feed(refused)

    wheel.runner.feed(PUNT)

    assert wheel.engine.events == [PUNT, refused]


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        (commands.StartLookups("blue", [query(), query()]), 2),
        (commands.StartNeighbours("blue", [NeighbourQuestion(IPv4Address("10.0.0.1"))]), 1),
        (commands.StartDhcp("blue", [query()]), 1),
    ],
)
async def test_without_an_instance_every_question_has_failed(
    wheel: Wheel, asked: Questions, count: int
) -> None:
    wheel.runner.instances.clear()
    wheel.engine.replies[events.FramesPunted] = [asked]

    wheel.runner.feed(PUNT)

    answered = wheel.engine.events[1]
    assert isinstance(
        answered, events.LookupsAnswered | events.NeighboursAnswered | events.DhcpAnswered
    )
    assert all(isinstance(answer, Failed) for answer in answered.answers)
    assert len(answered.answers) == count


async def test_an_instance_that_breaks_leaves_no_question_open(
    wheel: Wheel, lines: list[MutableMapping[str, Any]]
) -> None:
    asked = query()
    wheel.instance.breaks = True
    wheel.engine.replies[events.FramesPunted] = [commands.StartLookups("blue", [asked]), resend()]

    wheel.runner.feed(PUNT)

    answered = wheel.engine.events[1]
    assert isinstance(answered, events.LookupsAnswered)
    assert answered.queries == [asked]
    assert wheel.runner.faults["instance"] == 1
    assert isinstance(lines[0]["exc_info"], RuntimeError)
    assert (lines[0]["overlays"], lines[0]["work"]) == (["blue"], ["StartLookups"])
    assert wheel.datapath.batches == [[resend()]]


async def test_an_engine_that_breaks_is_counted_and_the_next_event_is_taken(wheel: Wheel) -> None:
    wheel.engine.replies[events.FramesPunted] = RuntimeError("broken")
    wheel.runner.feed(PUNT)
    wheel.engine.replies[events.FramesPunted] = [resend(b"1")]
    wheel.runner.feed(PUNT)
    assert wheel.runner.faults["engine"] == 1
    assert wheel.datapath.batches == [[resend(b"1")]]


async def test_a_datapath_that_breaks_is_counted_and_the_rest_goes_on(wheel: Wheel) -> None:
    def fail() -> None:
        raise RuntimeError("broken")

    wheel.datapath.during = fail
    wheel.engine.replies[events.FramesPunted] = [
        resend(b"1"),
        commands.StartLookups("blue", [query()]),
    ]
    wheel.runner.feed(PUNT)
    assert wheel.runner.faults["datapath"] == 1
    assert len(wheel.instance.asked) == 1


async def test_what_concerns_the_instance_reaches_it(wheel: Wheel) -> None:
    cancel = commands.CancelQuestions("blue", [query()])
    wheel.engine.replies[events.FramesPunted] = [
        cancel,
        commands.ReportFault("blue", "late"),
        commands.ReportDatapath("blue", "full"),
        commands.ReportDatapath("blue", None),
        commands.ReportPorts("blue", ("tap0",)),
        commands.ReportFault("red", "nobody hears this"),
        commands.Note("blue", "claimed elsewhere", b"\2\0\0\0\0\1"),
    ]
    wheel.runner.feed(PUNT)
    assert wheel.instance.said == [
        cancel,
        ("fault", "late"),
        (CauseKind.DATAPATH, "full"),
        (CauseKind.DATAPATH, None),
        ("tap0",),
    ]
    assert not wheel.runner.faults


async def test_while_an_overlay_is_held_its_commands_wait_and_others_do_not(wheel: Wheel) -> None:
    blue, red = resend(b"1"), resend(b"2", overlay="red")
    wheel.engine.replies[events.FramesPunted] = [blue, red]
    wheel.runner.hold("blue")
    wheel.runner.feed(PUNT)
    assert wheel.datapath.batches == [[red]]

    wheel.runner.release("blue")
    assert wheel.datapath.batches == [[red], [blue]]

    wheel.runner.feed(PUNT)
    assert wheel.datapath.batches[2:] == [[blue, red]]


async def test_rows_that_are_found_there_are_not_written_again(wheel: Wheel) -> None:
    one, two = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
    wheel.engine.replies[events.TargetSet] = [commands.Install("blue", TARGET, [one, two], [])]
    wheel.runner.hold("blue")
    wheel.runner.feed(events.TargetSet("blue", one, TARGET))
    wheel.runner.feed(events.RowsAdopted("red", [(two, (TARGET,))], []))
    wheel.runner.feed(events.RowsAdopted("blue", [(one, (TARGET,))], []))
    wheel.runner.release("blue")
    assert wheel.datapath.batches == [[commands.Install("blue", TARGET, [two], [])]]


async def test_what_was_held_for_an_overlay_that_is_given_up_is_thrown_away(wheel: Wheel) -> None:
    wheel.engine.replies[events.FramesPunted] = [resend(b"1")]
    wheel.runner.hold("blue")
    wheel.runner.feed(PUNT)
    wheel.runner.discard("blue")
    wheel.runner.release("blue")
    assert wheel.datapath.batches == []


class ManualTimer:
    """One call that a loop was asked to make."""

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualLoop:
    """A loop whose clock a test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[ManualTimer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> ManualTimer:
        self.timers.append(ManualTimer(when, call))
        return self.timers[-1]


class Clockwork:
    """A runner on a manual loop."""

    def __init__(self) -> None:
        self.loop = ManualLoop()
        self.engine = ScriptedEngine()
        self.runner = Runner(
            self.engine,
            lambda sink: cast(Datapath, RecordingDatapath(sink)),
            cast(asyncio.AbstractEventLoop, self.loop),
        )


def test_one_timer_is_armed_and_only_anew_when_the_deadline_changes() -> None:
    work = Clockwork()
    work.engine.deadline = DUE
    work.runner.feed(PUNT)
    work.runner.feed(PUNT)
    assert [timer.when for timer in work.loop.timers] == [DUE]

    work.engine.deadline = DUE - 1
    work.runner.feed(PUNT)
    assert [(timer.when, timer.cancelled) for timer in work.loop.timers] == [
        (DUE, True),
        (DUE - 1, False),
    ]

    work.engine.deadline = None
    work.runner.feed(PUNT)
    assert work.loop.timers[1].cancelled


def test_a_timer_that_comes_a_moment_early_still_reaches_the_deadline() -> None:
    work = Clockwork()
    work.engine.deadline = DUE
    work.runner.feed(PUNT)
    work.engine.deadline = None
    work.loop.now = DUE - 0.0005
    work.loop.timers[0].call()
    assert work.engine.told[-1] == (events.DeadlinePassed(), DUE)


def test_after_close_no_timer_is_left() -> None:
    work = Clockwork()
    work.engine.deadline = DUE
    work.runner.feed(PUNT)
    work.runner.close()
    assert work.loop.timers[0].cancelled


class Watching:
    """An observer that keeps what it is shown, or breaks."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.seen: list[tuple[Event, list[Command], float]] = []
        self.breaks = breaks

    def handled(self, event: Event, out: Sequence[Command], now: float) -> None:
        if self.breaks:
            raise RuntimeError("broken")
        self.seen.append((event, list(out), now))


async def test_observers_see_each_event_with_its_commands_before_they_are_carried_out(
    wheel: Wheel,
) -> None:
    watching = Watching()
    wheel.runner.observers.append(watching)
    seen_at_apply: list[int] = []
    wheel.datapath.during = lambda: seen_at_apply.append(len(watching.seen))
    wheel.engine.replies[events.FramesPunted] = [resend(b"a")]

    wheel.runner.feed(PUNT)

    ((event, out, now),) = watching.seen
    assert (event, out) == (PUNT, [resend(b"a")])
    assert now == wheel.engine.told[0][1]
    assert seen_at_apply == [1]


async def test_an_observer_that_breaks_is_counted_and_nothing_else_suffers(wheel: Wheel) -> None:
    watching = Watching()
    wheel.runner.observers += [Watching(breaks=True), watching]
    wheel.engine.replies[events.FramesPunted] = [resend(b"a")]

    wheel.runner.feed(PUNT)

    assert wheel.runner.faults == {"observer": 1}
    assert len(watching.seen) == 1
    assert wheel.datapath.batches == [[resend(b"a")]]
