"""What blocks is done elsewhere, in order, and not outside of start and end."""

import threading

import pytest

from support.fake_kernel import FakeKernel
from varpd.datapath.base import DatapathError
from varpd.datapath.linux import tables, threads
from varpd.datapath.linux.kernel import Kernel
from varpd.datapath.linux.threads import KernelThreads


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "Kernel", FakeKernel)


async def test_requests_are_done_in_order_in_another_thread() -> None:
    done: list[int] = []

    def job(kernel: Kernel, number: int) -> str:
        assert isinstance(kernel, FakeKernel)
        done.append(number)
        return threading.current_thread().name

    kernel = KernelThreads()
    await kernel.start()
    for number in range(10):
        kernel.submit(job, number)
    assert await kernel.request(job, 10) != threading.current_thread().name
    assert done == list(range(11))
    await kernel.stop()


async def test_nothing_is_done_before_the_start_or_after_the_end() -> None:
    kernel = KernelThreads()
    with pytest.raises(DatapathError):
        kernel.submit(lambda _: None)
    await kernel.start()
    await kernel.stop()
    with pytest.raises(DatapathError):
        kernel.submit(lambda _: None)


async def test_a_table_is_emptied_slice_by_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    slices = iter([3, 2, 0])
    monkeypatch.setattr(tables, "delete_slice", lambda device: next(slices))
    kernel = KernelThreads()
    await kernel.empty(7)
    assert next(slices, None) is None
    await kernel.stop()
