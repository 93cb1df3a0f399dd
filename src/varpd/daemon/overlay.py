"""One overlay as the daemon keeps it."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Self

from msgspec import Struct, structs

from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon import catalogue, guest_ports, properties
from varpd.daemon.instance import Instance
from varpd.daemon.instance_settings import InstanceSettings
from varpd.daemon.turn import Turn
from varpd.datapath.base import Antispoof, Link, LinkState
from varpd.datapath.encapsulation import Encapsulation
from varpd.engine.settings import Mode, Settings
from varpd.provider.answers import Target
from varpd.provider.errors import PropertyMissing
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import Plugin
from varpd.provider.properties import Property, Value
from varpd.store.base import StoredPort


class Plan(Struct, frozen=True):
    """What an overlay is to be."""

    name: str
    vnetid: int
    number: int
    """A small number, unique on the host."""

    encapsulation: Encapsulation
    plugin: type[Plugin]
    mode: Mode
    outer: tuple[Property, ...]
    """The properties of varpd and of the encapsulation."""

    inner: tuple[Property, ...]
    """The properties of the plugin."""

    defaults: Mapping[str, Value]
    """The configuration's defaults when the overlay was made."""

    values: Mapping[str, Value]
    """What is set of `outer`."""

    plugin_values: Mapping[str, Value]
    """What is to be set of `inner` before the start."""

    ports: Mapping[str, StoredPort] = {}
    """What is known of guests' ports."""

    def effective(self) -> dict[str, Value]:
        """Return the value of each of `outer` that has one."""
        return properties.effective(self.outer, self.values, self.defaults)

    def changed(self, values: Mapping[str, Value | None]) -> tuple[Self, dict[str, Value | None]]:
        """Return the plan with some values changed, and those values that are the plugin's.

        Args:
            values: what is to change, of `outer` and `inner`; None: back to the default.
        """
        outer = {item.name for item in self.outer}
        kept = {name: value for name, value in self.values.items() if name not in values}
        new = {n: value for n, value in values.items() if n in outer and value is not None}
        inner = {name: value for name, value in values.items() if name not in outer}
        return structs.replace(self, values=kept | new), inner

    def settings(self) -> Settings:
        """Return what the engine must know.

        Raises:
            PropertyInvalid: a value that the declarations allow means nothing.
        """
        return catalogue.settings_of(
            self.effective(), self.encapsulation, self.mode, self.plugin.ttl
        )

    def instance_settings(self) -> InstanceSettings:
        """Return what the instance must know."""
        values = self.effective()
        settings = self.settings()
        return InstanceSettings(
            lookup_timeout=settings.lookup_timeout,
            preload=values.get(catalogue.PRELOAD) == "on",
            max_targets=settings.limits.targets,
        )

    def local(self) -> Target | None:
        """Return where this host receives wrapped frames, as a target; None if it is not known."""
        settings = self.settings()
        if settings.listen_ip is None:
            return None
        has_port = DestinationKind.PORT in self.encapsulation.kinds
        return Target(ip=settings.listen_ip, port=settings.listen_port if has_port else None)


class Overlay:
    """One overlay: its plan, its instance, its links."""

    def __init__(
        self,
        plan: Plan,
        instance: Instance,
        turn: Turn | None = None,
        boot: str | None = None,
    ) -> None:
        """Take what it is and who answers for it.

        Args:
            plan: what it is to be.
            instance: who answers for it.
            turn: whose turn it is to change it, if it was defined before.
            boot: the boot of the host that it lives in, if it is temporary.
        """
        self.plan = plan
        self.instance = instance
        self.turn = Turn(plan.name) if turn is None else turn
        self.boot = boot
        self.links: LinkState | None = None
        """What the datapath made, once it did."""

        self.stopped: str | None = None
        """Why it no longer works, when it could be deleted only in part."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.plan.name

    def changing(self) -> AbstractAsyncContextManager[None]:
        """Keep other changes away; see `Turn.taken`.

        Raises:
            ControlError: another one takes too long, or the overlay was deleted meanwhile.
        """
        return self.turn.taken()

    def check_works(self) -> None:
        """Check that it is not left over from a deletion.

        Raises:
            ControlError: it is.
        """
        if self.stopped is not None:
            message = f"overlay {self.name} is stopped and can only be deleted: {self.stopped}"
            raise ControlError(ErrorCode.FAILED, message)

    def link(self, plan: Plan | None = None) -> Link:
        """Return what the datapath must know of it.

        Args:
            plan: what it is to become; what it is, unless given.

        Raises:
            PropertyMissing: there is no address to receive frames at.
        """
        plan = self.plan if plan is None else plan
        settings = plan.settings()
        if settings.listen_ip is None or settings.listen_port is None:
            raise PropertyMissing([f"{plan.encapsulation.name}/listen_ip"])
        values = plan.effective()
        mtu = values.get(catalogue.MTU)
        sources = catalogue.sources_of(values)
        return Link(
            name=plan.name,
            vnetid=plan.vnetid,
            encapsulation=plan.encapsulation.name,
            mode=plan.mode,
            number=plan.number,
            listen_ip=settings.listen_ip,
            listen_port=settings.listen_port,
            mtu=mtu if isinstance(mtu, int) else None,
            default=self.instance.default_target,
            repair=settings.repair,
            host_access=values.get(catalogue.HOST_ACCESS) == "on",
            underlay=catalogue.underlay_of(values, plan.encapsulation),
            sources=None if sources == catalogue.TARGETS else sources,
            only_targets=sources == catalogue.TARGETS,
            antispoof=Antispoof(values.get(catalogue.ANTISPOOF)),
            ports=guest_ports.of(plan.ports, values),
        )
