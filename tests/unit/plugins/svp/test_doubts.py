"""Log records that are done a second time."""

import asyncio
from contextlib import suppress
from uuid import UUID

import pytest

from support.waiting import until
from varpd.net.addresses import MacAddress
from varpd.plugins.svp import doubts as module
from varpd.plugins.svp.doubts import Doubts
from varpd.plugins.svp.log_messages import Record, Vl2Record

RECORDS = [
    Vl2Record(UUID(int=number), MacAddress.parse("02:00:5e:00:00:01"), 7) for number in range(3)
]


async def test_each_is_done_once_more_in_order_and_not_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STALE", 0.1)
    done: list[Record] = []

    async def again(record: Record) -> None:
        done.append(record)

    doubts = Doubts(again)
    work = asyncio.ensure_future(doubts.work())  # noqa: TID251
    began = asyncio.get_running_loop().time()
    for record in RECORDS:
        doubts.put(record)
    await asyncio.sleep(0)
    assert done == []
    await until(lambda: done == RECORDS)
    assert asyncio.get_running_loop().time() - began >= 0.1
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
