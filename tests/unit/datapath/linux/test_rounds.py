"""The round through all overlays, and what is read of tables."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, cast

import pytest

from support.linux_host import Recorder, make_link
from support.waiting import until
from varpd.datapath.linux import netlink, rounds, tables
from varpd.datapath.linux.caretaker import Cared
from varpd.datapath.linux.links import Pair
from varpd.datapath.linux.netlink import FdbRow
from varpd.datapath.linux.opening import Made
from varpd.datapath.linux.patience import Patience
from varpd.datapath.linux.rounds import Rounds
from varpd.engine.events import TableRead
from varpd.engine.settings import Mode
from varpd.net.addresses import ZERO

FIRST, SECOND, THIRD = (b"\x02\0\0\0\0" + bytes([number]) for number in range(3))


def row(mac: bytes, master: int = 0, state: int = netlink.NUD_NOARP) -> FdbRow:
    return FdbRow(7, state, netlink.NTF_SELF, mac, b"\xc0\0\2\2", None, master, 0)


class Care:
    """A caretaker that keeps what it is told to do, and has a table to be read."""

    def __init__(self, rows: list[FdbRow], mode: Mode = Mode.DYNAMIC) -> None:
        self.rows = rows
        self.sink = Recorder()
        self.looked: list[str] = []
        self.reads: Counter[str] = Counter()
        self.answers = True
        self.threads = self.tables = self
        made = Made(Pair(6, 7, adopted=False), None, None)
        self.cared = {
            name: Cared(make_link(name, mode=mode), made, Patience()) for name in ("blue", "red")
        }

    def look_in(self, cared: Cared, seconds: float) -> None:
        self.looked.append(cared.link.name)

    def submit(self, *what: Any) -> Future[Any] | None:
        if isinstance(what[0], Cared):
            cared, _, then = cast(tuple[Cared, Any, Callable[[Cared, Any], None]], what)
            self.reads[cared.link.name] += 1
            if self.answers:
                then(cared, self.rows)
        return None


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "PACE", 0.01)
    monkeypatch.setattr(rounds, "PERIOD", 0.02)


async def looked_at(care: Care, count: int) -> None:
    around = Rounds(cast(Any, care))
    around.start()
    await until(lambda: len(care.looked) >= count)
    around.stop()


async def test_all_overlays_have_their_turn() -> None:
    care = Care([])
    await looked_at(care, 4)
    assert sorted(care.looked[:4]) == ["blue", "blue", "red", "red"]


async def test_doubt_does_not_wait_for_the_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "PACE", 1000.0)
    care = Care([])
    around = Rounds(cast(Any, care))
    around.start()
    around.doubt()
    await until(lambda: sorted(care.looked) == ["blue", "red"])
    around.stop()


async def test_tables_are_not_read_twice_at_a_time_however_much_is_in_doubt() -> None:
    care = Care([])
    care.answers = False
    around = Rounds(cast(Any, care))
    around.start()
    for _ in range(5):
        care.looked.clear()
        around.doubt()
        await until(lambda: len(care.looked) >= 2)
    around.stop()
    assert care.reads == {"blue": 1, "red": 1}


async def test_macs_of_both_tables_are_told_once() -> None:
    care = Care([row(FIRST), row(FIRST, 6), row(SECOND, 6), row(THIRD, 6, netlink.NUD_PERMANENT)])
    await looked_at(care, 1)
    assert care.sink.of(TableRead)[0].macs == [FIRST, SECOND]


async def test_what_a_point_overlay_has_learned_is_not_told() -> None:
    care = Care([row(FIRST), row(SECOND, 6)], Mode.POINT)
    await looked_at(care, 1)
    assert care.sink.of(TableRead)[0].macs == [FIRST]


async def test_several_default_rows_are_looked_at() -> None:
    care = Care([row(ZERO), row(ZERO)])
    await looked_at(care, 1)
    assert care.looked[:2] in (["blue", "blue"], ["red", "red"])
    assert any(len(cared.strange) == 2 for cared in care.cared.values())


def test_a_large_table_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "fdb_rows", lambda device: iter([row(FIRST)] * 11))
    assert len(rounds.table(7)) == 11
    monkeypatch.setattr(rounds, "TABLE_MAX", 10)
    assert rounds.table(7) == []
