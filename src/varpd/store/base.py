"""What is stored of an overlay, and what a store is.

An overlay is written down before anything of it is made, and before anything of it is removed, so
that after the end of the process at any moment it is known what was under way::

    create ──► MAKING ──made──► MADE ──► DELETING ──delete──► (nothing)
                  └──────────────────────────────────delete──────▲
"""

import enum
from collections.abc import Mapping
from typing import Literal, Protocol

from msgspec import Struct

from varpd.provider.plugin import State

StoredValue = int | str
"""The value of a property as JSON holds it."""


class StoreError(Exception):
    """Something cannot be stored or read; the message is a sentence for the operator."""


class Phase(enum.Enum):
    """How far the life of an overlay has come."""

    MAKING = "making"
    """Nobody was told that it exists: what there is of it has to go."""

    MADE = "made"
    """It exists."""

    DELETING = "deleting"
    """Its deletion has begun and has to be finished."""


class StoredPort(Struct, frozen=True):
    """What is known of a guest's port."""

    mac: str | None = None
    """The guest's MAC."""

    addresses: tuple[str, ...] = ()
    """The guest's overlay addresses."""

    antispoof: str | None = None
    """As the property of that name; None: as the overlay has it."""


class StoredOverlay(Struct, frozen=True):
    """One overlay."""

    name: str
    vnetid: int
    """Virtual network identifier, up to 2^64-1."""

    number: int
    """Its number on this host."""

    encapsulation: str
    search: str
    """Name of the search plugin."""

    mode: Literal["point", "dynamic"]
    boot: str | None = None
    """Of a temporary overlay: the boot of the host that it lives in. None: it is kept."""

    phase: Phase = Phase.MADE
    properties: Mapping[str, StoredValue] = {}
    """What is set of its properties, whoever declares them."""

    defaults: Mapping[str, StoredValue] = {}
    """The configuration's defaults when it was made."""

    entries: Mapping[str, str] = {}
    """The administrator's entries: MAC to ``IP:PORT``, ``[IPV6]:PORT`` or ``drop``."""

    ports: Mapping[str, StoredPort] = {}
    """Guests' ports by the name of the link."""

    state: State | None = None
    """What the plugin saved last."""


class Store(Protocol):
    """Keeps overlays.

    Each method is one change, in force for good when it returns. When it raises, or nothing is
    stored under that name, nothing has changed. Changes take place in the order of the calls. A
    caller who is cancelled does not undo a change that has begun, but waits for its end.
    """

    async def load(self) -> list[StoredOverlay]:
        """Return all overlays in the order of their names.

        Raises:
            StoreError: what is stored cannot be read.
        """

    async def create(self, overlay: StoredOverlay) -> None:
        """Store an overlay in place of what is stored under its name.

        Raises:
            StoreError: it cannot be stored.
        """

    async def set_phase(self, name: str, phase: Phase) -> None:
        """Say how far an overlay's life has come.

        Raises:
            StoreError: it cannot be stored.
        """

    async def set_properties(self, name: str, values: Mapping[str, StoredValue | None]) -> None:
        """Set properties, all or none; None: it is not set.

        Raises:
            StoreError: they cannot be stored.
        """

    async def set_entry(self, name: str, mac: str, target: str) -> None:
        """Store an entry of the administrator, see `StoredOverlay.entries`.

        Raises:
            StoreError: it cannot be stored.
        """

    async def delete_entry(self, name: str, mac: str) -> None:
        """Forget an entry of the administrator, if there is one.

        Raises:
            StoreError: it cannot be forgotten.
        """

    async def set_port(self, name: str, port: str, known: StoredPort | None) -> None:
        """Store what is known of a guest's port; None: nothing any more.

        Raises:
            StoreError: it cannot be stored.
        """

    async def save_state(self, name: str, state: State | None) -> None:
        """Store what the plugin saved; None: nothing is known.

        Raises:
            StoreError: it cannot be stored.
        """

    async def delete(self, name: str) -> None:
        """Forget an overlay and all that belongs to it.

        Raises:
            StoreError: it cannot be forgotten.
        """
