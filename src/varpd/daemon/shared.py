"""What instances of a plugin share: one object for each key, closed with the last that uses it."""

import threading
from collections.abc import Callable
from typing import Any

from varpd.provider.host import Closable
from varpd.provider.plugin import Plugin

Key = tuple[type[Plugin], str]


class _Slot:
    """One shared object and who uses it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users: set[object] = set()
        self.value: Closable | None = None


class SharedObjects:
    """The shared objects of all plugins; may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[Key, _Slot] = {}

    def acquire(self, key: Key, user: object, factory: Callable[[], Any]) -> Any:
        """Return the object of `key`, made by `factory` if nobody uses one, and count `user` in.

        Only those who ask for the same key wait for a factory. What it raises goes to the caller.
        """
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            slot.users.add(user)
        try:
            with slot.lock:
                if slot.value is None:
                    slot.value = factory()
                return slot.value
        except BaseException:
            self.release(key, user)
            raise

    def release(self, key: Key, user: object) -> Closable | None:
        """Count `user` out; return the object if that was the last, for the caller to close."""
        with self._lock:
            slot = self._slots.get(key)
            if slot is None or user not in slot.users:
                return None
            slot.users.remove(user)
            if slot.users:
                return None
            del self._slots[key]
            return slot.value
