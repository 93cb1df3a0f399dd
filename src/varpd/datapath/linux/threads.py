"""The threads that wait for the kernel, so that the event loop does not.

One is for single requests, which are done in order; one for whole tables, which take seconds.
Both belong to the network namespace of the thread that first uses them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from varpd.datapath.base import DatapathError, DatapathErrorCode
from varpd.datapath.linux import tables
from varpd.datapath.linux.kernel import Kernel

P = ParamSpec("P")
T = TypeVar("T")


class KernelThreads:
    """Runs what blocks; used from the event loop."""

    def __init__(self) -> None:
        self.tables = ThreadPoolExecutor(1, "kernel-tables")
        """For whole tables, and whatever else takes long."""

        self._requests = ThreadPoolExecutor(1, "kernel-requests")
        self._kernel: Kernel | None = None

    async def start(self) -> None:
        """Begin to speak with the kernel.

        Raises:
            OSError: there is no netlink socket to be had.
        """
        loop = asyncio.get_running_loop()
        self._kernel = await loop.run_in_executor(self._requests, Kernel)

    async def stop(self) -> None:
        """Finish what was asked for and end."""
        loop = asyncio.get_running_loop()
        if self._kernel is not None:
            kernel, self._kernel = self._kernel, None
            await loop.run_in_executor(self._requests, kernel.close)
        for executor in (self._requests, self.tables):
            executor.shutdown(wait=False)

    def submit(
        self,
        job: Callable[Concatenate[Kernel, P], T],
        *arguments: P.args,
        **options: P.kwargs,
    ) -> Future[T]:
        """Have `job` done with the kernel, behind all single requests so far.

        Raises:
            DatapathError: it is before the start or after the end.
        """
        if self._kernel is None:
            raise DatapathError(DatapathErrorCode.FAILED, "the datapath is not running")
        return self._requests.submit(job, self._kernel, *arguments, **options)

    async def request(
        self,
        job: Callable[Concatenate[Kernel, P], T],
        *arguments: P.args,
        **options: P.kwargs,
    ) -> T:
        """Return what `job` makes of the kernel, like `submit`."""
        return await asyncio.wrap_future(self.submit(job, *arguments, **options))

    async def at_length(self, job: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Return what a `job` that may take seconds makes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.tables, partial(job, *arguments, **options))

    async def empty(self, device: int) -> None:
        """Remove all rows of a tunnel device but the default one, in slices."""
        while await self.at_length(tables.delete_slice, device):
            pass
