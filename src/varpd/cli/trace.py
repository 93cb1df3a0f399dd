"""``overlayadm trace``: what would happen to a frame, without sending it."""

from typing import Final, cast

import click

from varpd.cli import output
from varpd.cli.connection import complete_overlays, connect
from varpd.cli.output import Column
from varpd.control.tracing import FrameKind, TraceInfo, TraceRequest

STEPS: Final = (Column("STEP", 9), Column("WHAT HAPPENS", 60))

ETHERTYPE_MAX: Final = 0xFFFF
"""The largest ethertype; up to 1535 the field is a length."""

_WRONG: Final = "FRAME is nothing (with --dst), 'arp [request] IP', 'nd IP' or 'dhcp'"


class Ethertype(click.ParamType[int]):
    """An ethertype: decimal, or hexadecimal with ``0x``."""

    name = "ethertype"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number."""
        text = str(value).lower()
        try:
            number = int(text, 16 if text.startswith("0x") else 10)
        except ValueError:
            number = 0
        if not 1536 <= number <= ETHERTYPE_MAX:
            self.fail(f"{value!r} is no number from 1536 to 65535", param, ctx)
        return number


@click.command(name="trace")
@click.argument("name", shell_complete=complete_overlays)
@click.argument("frame", nargs=-1, metavar="[arp [request] IP|nd IP|dhcp]")
@click.option("--src", metavar="MAC", help="The guest that sends it; some other unless given.")
@click.option("--dst", metavar="MAC", help="Destination of a frame that is none of the others.")
@click.option("--ethertype", type=Ethertype(), help="Its ethertype; 0x0800 unless given.")
@click.option("--vlan", type=click.IntRange(1, 4094), help="802.1Q VLAN.")
@click.option("--size", type=click.IntRange(14, 9000), help="Its bytes; 60 unless given.")
@click.option("--ask", is_flag=True, help="Really ask the plugin; nothing follows from its answer.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    frame: tuple[str, ...],
    src: str | None,
    dst: str | None,
    ethertype: int | None,
    vlan: int | None,
    size: int | None,
    ask: bool,
    as_json: bool,
) -> None:
    """Say step by step what would happen to a guest's frame in the overlay NAME.

    Nothing is sent and nothing changes. The frame is an ARP request, a neighbour solicitation, a
    DHCP discovery, or what --dst and its companions say.
    """
    kind, address = _frame(frame)
    plain = (dst, ethertype, size)
    if kind == "frame" and dst is None:
        raise click.UsageError(_WRONG)
    if kind != "frame" and any(item is not None for item in plain):
        raise click.UsageError("--dst, --ethertype and --size go with no other kind of frame")
    usual = TraceRequest()
    request = TraceRequest(
        kind=kind,
        src=src,
        dst=dst,
        ethertype=usual.ethertype if ethertype is None else ethertype,
        vlan=vlan,
        address=address,
        size=usual.size if size is None else size,
        ask=ask,
    )
    with connect(ctx) as client:
        found = client.trace(name, request)
    if as_json:
        output.print_json(found)
    else:
        _print(found)


def _frame(words: tuple[str, ...]) -> tuple[FrameKind, str | None]:
    """Return what kind of frame the words say, and the address that it asks for."""
    match words:
        case ():
            return "frame", None
        case ("dhcp",):
            return "dhcp", None
        case ("arp", "request", address):
            return "arp", address
        case ("arp" | "nd", address):
            return cast(FrameKind, words[0]), address
        case _:
            raise click.UsageError(_WRONG)


def _print(found: TraceInfo) -> None:
    click.echo(output.printable(f"{found.overlay} (vnetid {found.vnetid}): {found.verdict}"))
    click.echo()
    output.print_table(STEPS, [(step.place, step.text) for step in found.steps])
