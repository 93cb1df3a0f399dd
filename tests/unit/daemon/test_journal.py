"""The memory of what happened: what is in it, and its bounds."""

from ipaddress import IPv4Address

from varpd.daemon.audience import Audience
from varpd.daemon.degradation import Cause, CauseKind
from varpd.daemon.journal import Bounds, Journal, KnownAddress, Memory
from varpd.daemon.records import KEPT, Kind
from varpd.engine import commands, events
from varpd.engine.events import DEFERRED, Failed, NeighbourQuestion
from varpd.engine.settings import Mode, Settings
from varpd.net.addresses import MacAddress
from varpd.provider.answers import DROP, Neighbour, NeighbourAnswer, Target
from varpd.provider.kinds import DestinationKind
from varpd.provider.query import Query

A = MacAddress(bytes.fromhex("020000000001"))
B = MacAddress(bytes.fromhex("020000000002"))
TARGET = Target(IPv4Address("192.0.2.2"), 4789)
IP = IPv4Address("10.0.0.1")
SETTINGS = Settings(7, Mode.DYNAMIC, DestinationKind.IP | DestinationKind.PORT, 8)


def journal(*overlays: str, memory: Memory | None = None) -> Journal:
    made = Journal(lambda: 99.0, memory=memory or Memory())
    for overlay in overlays or ("blue",):
        made.handled(events.OverlayAdded(overlay, SETTINGS), [], 1.0)
    return made


def kinds(found: Journal, overlay: str = "blue") -> list[Kind]:
    return [record.kind for record in found.story(overlay)]


def answered(mac: bytes, answer: Target = TARGET) -> events.LookupsAnswered:
    return events.LookupsAnswered("blue", [Query(mac, 7)], [answer])


def neighbour(answer: NeighbourAnswer | events.Deferred | Failed) -> events.NeighboursAnswered:
    return events.NeighboursAnswered("blue", [NeighbourQuestion(IP)], [answer])


def test_the_story_is_told_from_the_end_with_commands_behind_their_event() -> None:
    found = journal()
    found.handled(answered(A), [commands.Install("blue", TARGET, [A], [])], 2.0)
    found.handled(events.EntryDeleted("blue", A), [commands.RemoveRows("blue", [A])], 3.0)
    assert kinds(found) == [
        Kind.ROWS_REMOVED,
        Kind.ENTRY_DELETED,
        Kind.ROWS_WRITTEN,
        Kind.ANSWERED,
        Kind.ADDED,
    ]
    assert [record.at for record in found.story("blue")] == [3.0, 3.0, 2.0, 2.0, 1.0]


def test_what_busy_guests_cause_does_not_push_out_what_the_administrator_did() -> None:
    found = journal(memory=Memory(traffic=Bounds(overlay=20, total=20, least=20)))
    found.handled(events.EntrySet("blue", A, None), [], 2.0)
    for _ in range(100):
        found.handled(answered(A), [], 3.0)
    assert kinds(found) == [Kind.ANSWERED] * 20 + [Kind.ENTRY_SET, Kind.ADDED]


def test_the_more_overlays_the_less_is_remembered_of_each() -> None:
    memory = Memory(traffic=Bounds(overlay=40, total=40, least=4))
    found = journal("blue", memory=memory)
    for _ in range(100):
        found.handled(answered(A), [], 2.0)
    assert kinds(found).count(Kind.ANSWERED) == 40
    found.handled(events.OverlayAdded("red", SETTINGS), [], 3.0)
    found.handled(answered(A), [], 3.0)
    assert kinds(found).count(Kind.ANSWERED) == 20
    for number in range(100):
        found.handled(events.OverlayAdded(f"o{number}", SETTINGS), [], 3.0)
    found.handled(answered(A), [], 3.0)
    assert kinds(found).count(Kind.ANSWERED) == 4


def test_other_records_and_addresses_have_bounds_too() -> None:
    small = Bounds(overlay=3, total=3, least=3)
    found = journal(memory=Memory(others=small, addresses=small))
    for number in range(10):
        found.handled(events.TableFlushed("blue"), [], 2.0)
        question = NeighbourQuestion(IP + number)
        found.handled(events.NeighboursAnswered("blue", [question], [A]), [], 2.0)
    assert kinds(found).count(Kind.FLUSHED) == 3
    assert [number for number in range(10) if found.known("blue", IP + number)] == [7, 8, 9]


def test_of_a_large_batch_the_first_macs_and_the_number_are_kept() -> None:
    found = journal()
    macs = [number.to_bytes(6, "big") for number in range(KEPT + 10)]
    found.handled(events.MacsLearned("blue", macs), [], 2.0)
    record = next(found.story("blue"))
    assert (len(record.macs), record.count) == (KEPT, KEPT + 10)


def test_the_last_one_said_who_has_an_address() -> None:
    found = journal()
    assert found.known("blue", IP) is None
    found.handled(neighbour(Neighbour(A, router=True)), [], 2.0)
    assert found.known("blue", IP) == KnownAddress(A, 2.0, announced=False)
    for nothing_new in (DEFERRED, Failed("broken")):
        found.handled(neighbour(nothing_new), [], 3.0)
        assert found.known("blue", IP) == KnownAddress(A, 2.0, announced=False)
    found.handled(neighbour(DROP), [], 4.0)
    assert found.known("blue", IP) == KnownAddress(None, 4.0, announced=False)
    found.handled(events.Announced("blue", A, IP, None, None), [], 5.0)
    assert found.known("blue", IP) == KnownAddress(A, 5.0, announced=True)


def test_what_changed_in_the_settings_is_named() -> None:
    found = journal()
    found.handled(
        events.OverlayChanged("blue", Settings(7, Mode.DYNAMIC, SETTINGS.kinds, 8, ttl=5)), [], 2.0
    )
    record = next(found.story("blue"))
    assert (record.kind, record.detail) == (Kind.CHANGED, "ttl None to 5")


def test_causes_are_remembered_when_they_come_change_and_go() -> None:
    found = journal()
    first = Cause(CauseKind.PLUGIN, "no file", 0.0)
    found.causes("blue", [first])
    found.causes("blue", [first])
    found.causes("blue", [Cause(CauseKind.PLUGIN, "bad file", 0.0)])
    found.causes("blue", [])
    told = [(record.kind, record.detail) for record in found.story("blue")]
    assert told[:-1] == [
        (Kind.RECOVERED, "plugin"),
        (Kind.DEGRADED, "plugin: bad file"),
        (Kind.DEGRADED, "plugin: no file"),
    ]
    assert next(found.story("blue")).at == 99.0


def test_an_overlay_that_is_gone_takes_its_story_along() -> None:
    found = journal()
    found.handled(events.OverlayRemoved("blue"), [], 2.0)
    found.handled(answered(A), [], 3.0)
    found.causes("blue", [Cause(CauseKind.PLUGIN, "no file", 0.0)])
    assert kinds(found) == []


async def test_who_listens_hears_of_it_and_of_the_end_of_an_overlay() -> None:
    audience = Audience()
    listener = audience.listen()
    found = Journal(lambda: 0.0, audience)
    found.handled(events.OverlayAdded("blue", SETTINGS), [], 1.0)
    found.handled(events.OverlayRemoved("blue"), [], 2.0)
    heard = await listener.take()
    assert [(overlay, record.kind) for overlay, record in heard] == [
        ("blue", Kind.ADDED),
        ("blue", Kind.REMOVED),
    ]


def test_a_batch_of_targets_is_one_record_that_says_as_much_as_others() -> None:
    found = journal()
    queries = [Query(A, 7), Query(B, 7)]
    install = commands.Install("blue", TARGET, [A, B], [])
    event = events.LookupsAnswered("blue", queries, [TARGET, TARGET])
    found.handled(event, [install], 2.0)
    told = [(item.kind, item.macs, item.detail) for item in found.story("blue")]
    assert told[:2] == [
        (Kind.ROWS_WRITTEN, [A, B], TARGET),
        (Kind.ANSWERED, [A, B], [TARGET, TARGET]),
    ]


async def test_who_listens_hears_of_a_batch_in_its_order() -> None:
    found = journal()
    listener = found.audience.listen()
    found.handled(answered(A), [commands.Install("blue", TARGET, [A], [])], 2.0)
    heard = await listener.take()
    assert [record.kind for _, record in heard] == [Kind.ANSWERED, Kind.ROWS_WRITTEN]
