"""What has changed, for each host until it says that it is done with it; pure."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from uuid import UUID, uuid4

from varpd.net.addresses import IpAddress
from varpd.plugins.svp.log_messages import Record

HOST_RECORDS: Final = 65_536
"""Records kept for a host at most; one that reads none loses the oldest."""

RECORDS: Final = 1_048_576
"""Records kept for all hosts, each of which has an equal part."""


class Logs:
    """The logs of all hosts."""

    def __init__(self, total: int = RECORDS) -> None:
        """Take how many records are kept."""
        self._total = total
        self._logs: dict[IpAddress, OrderedDict[UUID, Record]] = {}
        self._hosts: dict[UUID, IpAddress] = {}
        self.lost = 0
        """Records that a host did not read in time."""

    def follow(self, hosts: Iterable[IpAddress]) -> None:
        """Keep a log for these hosts and no others."""
        wanted = set(hosts)
        for gone in [host for host in self._logs if host not in wanted]:
            for number in self._logs.pop(gone):
                del self._hosts[number]
        for host in wanted:
            self._logs.setdefault(host, OrderedDict())

    def add(self, changes: Iterable[Record]) -> None:
        """Add what has changed to the log of each host, as a record of its own."""
        limit = min(HOST_RECORDS, self._total // max(1, len(self._logs)))
        for change in changes:
            for host, log in self._logs.items():
                number = uuid4()
                log[number] = replace(change, id=number)
                self._hosts[number] = host
                if len(log) > limit:
                    del self._hosts[log.popitem(last=False)[0]]
                    self.lost += 1

    def read(self, host: IpAddress, count: int) -> tuple[Record, ...] | None:
        """Return the oldest records of a host that take at most `count` bytes.

        Returns:
            None if there is no such host.
        """
        log = self._logs.get(host)
        if log is None:
            return None
        found: list[Record] = []
        for record in log.values():
            count -= record.LAYOUT.size
            if count < 0:
                break
            found.append(record)
        return tuple(found)

    def remove(self, ids: Iterable[UUID]) -> None:
        """Forget records that a host is done with; what is not there is no fault."""
        for number in ids:
            host = self._hosts.pop(number, None)
            if host is not None:
                del self._logs[host][number]
