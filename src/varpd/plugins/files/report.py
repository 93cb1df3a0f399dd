"""What the operator is told of a mapping file: in the log, and as the state of the overlay."""

from typing import Final

from varpd.net.addresses import MacAddress
from varpd.plugins.files.difference import Difference
from varpd.plugins.files.errors import FilesError
from varpd.plugins.files.loader import Loaded
from varpd.provider import Host

_PATH_SHOWN: Final = 60
"""Characters of the path in the message of a degradation, so that there is room for the rest."""

_KEPT: Final = "the old mappings stay in force"


class Report:
    """Tells each thing when it begins to be so, and not again while it is."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._degraded = False
        self._unknown_keys: set[str] = set()
        self._other_family = 0

    def read(self, path: str, loaded: Loaded) -> None:
        """Say that a file was read, and what is odd about it."""
        log, content = self._host.log, loaded.content
        log.info("mappings read", file=path, mappings=len(content))
        unknown = loaded.unknown_keys - self._unknown_keys
        if unknown:
            self._unknown_keys |= unknown
            log.warning("unknown keys are ignored", file=path, keys=sorted(unknown))
        strangers = content.other_family
        if strangers and len(strangers) != self._other_family:
            mac, target = next(iter(strangers.items()))
            log.warning(
                "frames to MACs with an underlay address of the other family are dropped",
                file=path,
                mappings=len(strangers),
                first=str(MacAddress(mac)),
                ip=str(target.ip),
            )
        self._other_family = len(strangers)

    def changed(self, changes: Difference) -> None:
        """Say how much has changed."""
        if changes.macs or changes.moved:
            self._host.log.info(
                "mappings changed", mappings=len(changes.macs), addresses_moved=len(changes.moved)
            )

    def broken(self, error: FilesError) -> None:
        """Degrade the overlay, since its file cannot be used any more."""
        self._degraded = True
        path = error.path
        if len(path) > _PATH_SHOWN:
            path = f"...{path[3 - _PATH_SHOWN :]}"
        self._host.log.error(_KEPT, error=str(error))
        self._host.degrade(f"{path}: {error.where_and_what}; {_KEPT}")

    def well(self, path: str) -> None:
        """End the degradation, if there is one."""
        if self._degraded:
            self._degraded = False
            self._host.log.info("the file can be used again", file=path)
            self._host.restore()
