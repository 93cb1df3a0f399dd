"""Captures of the frames that go through the daemon, as they go over the control socket."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

CaptureKind = Literal["punted", "resent", "injected"]

KINDS: Final[tuple[CaptureKind, ...]] = ("punted", "resent", "injected")
"""Frames that the kernel handed over, that were sent on, that went to guests here."""

SNAPLEN: Final = 65_535
"""Bytes of a frame that are kept at most; more than any frame has."""

PCAPNG: Final = "application/x-pcapng"
"""The media type of a capture."""


class Capture(Struct, frozen=True, forbid_unknown_fields=True):
    """Capture frames of an overlay. ``POST /v1/overlays/NAME/capture``."""

    kinds: tuple[CaptureKind, ...] = KINDS
    """Which frames."""

    snaplen: Annotated[int, Meta(ge=1, le=SNAPLEN)] = SNAPLEN
    """Bytes that are kept of each."""

    count: Annotated[int, Meta(ge=1)] | None = None
    """After how many frames the capture ends; null: when the caller goes."""
