"""A fake of who hears how an instance's life goes."""

from varpd.daemon.mailbox import PanicSaid
from varpd.engine.events import Event


class Listener:
    """Keeps all that it hears."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.goods = 0
        self.panics: list[PanicSaid] = []
        self.events: list[Event] = []
        self.conditions: list[str | None] = []
        self.saves = 0
        self.notes: list[str] = []
        self.taken_macs: list[tuple[bytes, str]] = []

    def __str__(self) -> str:
        return "blue/probe"

    def fault(self, message: str, exc: BaseException | None = None) -> None:
        self.faults.append(message)

    def good(self) -> None:
        self.goods += 1

    def panicked(self, panic: PanicSaid) -> None:
        self.panics.append(panic)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def condition(self, message: str | None) -> None:
        self.conditions.append(message)

    def save_wanted(self) -> None:
        self.saves += 1

    def taken(self, mac: bytes, message: str) -> None:
        self.taken_macs.append((mac, message))

    def note(self, text: str, **values: object) -> None:
        self.notes.append(text)

    def blocked_loop(self, seconds: float) -> None:
        self.faults.append("blocked")
