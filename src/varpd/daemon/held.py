"""What the datapath is asked for before the links of an overlay are there.

The links may be those of an earlier daemon, with rows. A row that is there already as it is asked
for is not written again.
"""

from collections.abc import Iterable

from msgspec import structs

from varpd.engine import commands
from varpd.engine.commands import DatapathCommand
from varpd.provider.answers import Target


class Held:
    """The commands for one overlay, in their order."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._commands: list[DatapathCommand] = []
        self._wanted: dict[bytes, tuple[Target, ...]] = {}
        self._there: set[bytes] = set()

    def keep(self, command: DatapathCommand) -> None:
        """Take what is to be done once the links are there."""
        self._commands.append(command)
        match command:
            case commands.Install(_, target, macs, _):
                self._want(macs, (target,))
            case commands.InstallReplicas(_, mac, targets):
                self._want([mac], targets)
            case commands.RemoveRows(_, macs):
                self._want(macs, ())
            case _:
                pass

    def found(self, rows: Iterable[tuple[bytes, tuple[Target, ...]]]) -> None:
        """Take note of rows that are there, and that nothing so far has changed."""
        wanted = self._wanted
        self._there.update(
            mac for mac, targets in rows if mac in wanted and set(wanted[mac]) == set(targets)
        )

    def commands(self) -> list[DatapathCommand]:
        """Return what is still to be done."""
        if not self._there:
            return self._commands
        left: list[DatapathCommand] = []
        for command in self._commands:
            match command:
                case commands.Install(_, _, macs, packets):
                    others = [mac for mac in macs if mac not in self._there]
                    if others or packets:
                        left.append(structs.replace(command, macs=others))
                case commands.RemoveRows(_, macs):
                    others = [mac for mac in macs if mac not in self._there]
                    if others:
                        left.append(structs.replace(command, macs=others))
                case commands.InstallReplicas(_, mac, _):
                    if mac not in self._there:
                        left.append(command)
                case _:
                    left.append(command)
        return left

    def _want(self, macs: Iterable[bytes], targets: tuple[Target, ...]) -> None:
        """Whatever was found is to become something else."""
        for mac in macs:
            self._wanted[mac] = targets
            self._there.discard(mac)
