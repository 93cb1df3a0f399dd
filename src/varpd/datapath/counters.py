"""What a datapath counts: for one overlay, and for the whole host."""

from msgspec import Struct

from varpd.engine.histogram import Distribution


class OverlayCounters(Struct, frozen=True):
    """Frames and rows of one overlay since it was opened."""

    received: int = 0
    """Punted frames that were delivered."""

    lost: int = 0
    """Datagrams that the kernel dropped before varpd could read them: no room in the socket's
    buffer, or they did not come from the overlay's own device."""

    stale: int = 0
    """Frames that had waited so long when varpd came that nobody wants them any more."""

    sent: int = 0
    """Frames sent on to targets; copies to several targets count each."""

    not_sent: int = 0
    """Frames that could not be sent on: no room in the kernel, or it refused."""

    too_big: int = 0
    """Frames that did not fit through the underlay, and whose senders were told so."""

    injected: int = 0
    """Frames delivered to local guests."""

    not_injected: int = 0
    """Frames that could not be delivered to local guests."""

    miss_to_row: Distribution = Distribution()
    """Seconds from the first frame to a MAC until its row was in the kernel."""


class HostCounters(Struct, frozen=True):
    """What all overlays share, since the datapath was started."""

    rows_queued: int = 0
    """Rows that wait just now to be written or removed."""

    rows_written: int = 0
    """Rows written."""

    rows_removed: int = 0
    """Rows that were to be removed and are gone."""

    rows_refused: int = 0
    """Rows that the kernel, or the full queue, refused."""

    rows_not_removed: int = 0
    """Rows that the kernel would not remove."""

    injections_dropped: int = 0
    """Frames for guests dropped because too many waited behind rows."""

    stalls: int = 0
    """Writes that waited noticeably for the kernel's lock."""

    monitor_overflows: int = 0
    """How often the kernel had more to tell of changes than there was room for."""

    guard_repairs: int = 0
    """How often the guard's rules were not as they should be, and were put right."""

    miss_to_row: Distribution = Distribution()
    """As of one overlay, over all that there ever were."""
