"""What has to be done: everything that the engine can ask for, in the order in which it asks.

The first half is for the datapath, the second for whoever keeps the plugins.
"""

from msgspec import Struct

from varpd.engine.events import NeighbourQuestion, Question
from varpd.provider.answers import Target
from varpd.provider.query import Query


class Install(Struct, frozen=True, gc=False):
    """Write the rows of MACs that are at one target, then send frames there.

    The frames do not wait for the rows.
    """

    overlay: str
    target: Target
    macs: list[bytes]
    packets: list[bytes]
    """Each with the encapsulation's header in front."""

    since: float = 0.0
    """When the first frame came for which the rows are written, as `FramesPunted.arrived` says; 0:
    there was none, or it is not known."""


class InstallReplicas(Struct, frozen=True):
    """Make the rows of a group MAC be these targets, whatever they were; none: remove them."""

    overlay: str
    mac: bytes
    targets: tuple[Target, ...]


class RemoveRows(Struct, frozen=True):
    """Remove the rows of unicast MACs."""

    overlay: str
    macs: list[bytes]
    reason: str = ""
    """Why, where the event that it follows from does not say it: ``expired``, ``evicted``."""


class SetDefaultTarget(Struct, frozen=True):
    """Send everything of a POINT overlay to this target."""

    overlay: str
    target: Target


class Resend(Struct, frozen=True, gc=False):
    """Send frames out to a target."""

    overlay: str
    target: Target
    packets: list[bytes]
    """Each with the encapsulation's header in front."""


class Inject(Struct, frozen=True, gc=False):
    """Deliver frames to the local guests as if received, behind all rows asked for so far."""

    overlay: str
    frames: list[bytes]
    """Plain Ethernet frames."""


class AskUsage(Struct, frozen=True):
    """Ask the kernel how long ago the rows of MACs were used."""

    overlay: str
    macs: list[bytes]


class CheckRows(Struct, frozen=True):
    """Find out what rows MACs have, behind all writes asked for so far."""

    overlay: str
    macs: list[bytes]


class StartLookups(Struct, frozen=True, gc=False):
    """Ask the plugin where frames go."""

    overlay: str
    queries: list[Query]


class StartNeighbours(Struct, frozen=True, gc=False):
    """Ask the plugin who has addresses."""

    overlay: str
    questions: list[NeighbourQuestion]


class StartDhcp(Struct, frozen=True, gc=False):
    """Ask the plugin for the DHCP server of clients' frames."""

    overlay: str
    queries: list[Query]


class CancelQuestions(Struct, frozen=True):
    """Give up questions that have been in progress for too long; `Failed` is their answer."""

    overlay: str
    questions: list[Question]


class ReportFault(Struct, frozen=True):
    """Count a fault of the overlay's instance."""

    overlay: str
    message: str


class ReportDatapath(Struct, frozen=True):
    """Degrade the overlay because of its datapath; None: that cause is gone."""

    overlay: str
    message: str | None


class ReportGuard(Struct, frozen=True):
    """Degrade the overlay because it is not kept apart from others; None: it is."""

    overlay: str
    message: str | None


class ReportPorts(Struct, frozen=True):
    """Tell the instance which guests' ports the overlay's bridge has now."""

    overlay: str
    ports: tuple[str, ...]


class Note(Struct, frozen=True):
    """Something that an operator may want to know of; it is logged and shown."""

    overlay: str
    text: str
    mac: bytes | None = None


DatapathCommand = (
    Install
    | InstallReplicas
    | RemoveRows
    | SetDefaultTarget
    | Resend
    | Inject
    | AskUsage
    | CheckRows
)

PluginCommand = (
    StartLookups
    | StartNeighbours
    | StartDhcp
    | CancelQuestions
    | ReportFault
    | ReportDatapath
    | ReportGuard
    | ReportPorts
    | Note
)

Command = DatapathCommand | PluginCommand
