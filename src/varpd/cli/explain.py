"""``overlayadm explain``: why frames go where they go, and whether the kernel agrees."""

import click

from varpd.cli import output
from varpd.cli.connection import complete_overlays, connect
from varpd.cli.monitor import line
from varpd.cli.output import Column
from varpd.control.explanation import Explanation, MacExplanation, RowInfo, WantedInfo

ROWS = (
    Column("TABLE", 9),
    Column("LEADS TO", 24),
    Column("FLAGS", 16),
    Column("USED", 10),
    Column("WRITTEN", 10),
)


@click.command(name="explain")
@click.argument("name", shell_complete=complete_overlays)
@click.argument("address", metavar="MAC|IP")
@click.option(
    "--ask", is_flag=True, help="For an IP address, ask the plugin who has it; nothing follows."
)
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.pass_context
def command(ctx: click.Context, name: str, address: str, ask: bool, as_json: bool) -> None:
    """Explain where frames to a MAC, or to who has an overlay address, go in the overlay NAME.

    What varpd wants and why, what the kernel has, whether they agree, and what happened of late.
    """
    with connect(ctx) as client:
        found = client.explain(name, address, ask=ask)
    if as_json:
        output.print_json(found)
    else:
        _print(found)


def _print(found: Explanation) -> None:
    _say(found.summary)
    for known in found.addresses[:-1]:
        _say(f"  {known.text}")
    for number, mac in enumerate(found.macs):
        if number:
            click.echo()
            _say(mac.summary)
        _print_mac(mac)


def _print_mac(mac: MacExplanation) -> None:
    click.echo()
    for text in _facts(mac):
        _say(f"  {text}")
    click.echo()
    output.print_table(ROWS, [_row(row) for row in mac.rows])
    if mac.events:
        click.echo()
        for event in mac.events:
            _say(line(event))


def _facts(mac: MacExplanation) -> list[str]:
    """Return what there is to know besides the sentence, a line each."""
    facts = [_wanted(mac.wanted)]
    if mac.agrees:
        facts.append("kernel: as wanted")
    facts += [f"kernel: {problem}" for problem in mac.problems]
    if mac.waiting_frames:
        facts.append(f"waiting: {mac.waiting_frames} frames, {mac.waiting_bytes} bytes")
    for hold in mac.holds:
        kind = "802.3" if hold.ethertype is None else f"ethertype 0x{hold.ethertype:04x}"
        tag = "" if hold.vlan is None else f" in VLAN {hold.vlan}"
        facts.append(f"dropped unasked: {kind}{tag}, for {hold.ends_s:.1f} s more")
    if mac.learned:
        elsewhere = mac.wanted.targets and not mac.wanted.local
        facts.append(
            "guest: one here sends from this MAC"
            + (", which is another host's" if elsewhere else "")
        )
    return facts


def _wanted(wanted: WantedInfo) -> str:
    to = ", ".join(wanted.targets)
    parts = [f"wanted: {wanted.state}" + (f", {to}" if to else "")]
    if wanted.local:
        parts.append("this host")
    if wanted.origin is not None:
        parts.append(f"said by: {wanted.origin}")
    if wanted.age_s is not None:
        parts.append(f"for {wanted.age_s:.0f} s")
    if wanted.expires_s is not None:
        parts.append(f"asked again or forgotten in {wanted.expires_s:.0f} s")
    if wanted.asked:
        parts.append("being asked")
    return "; ".join(parts)


def _row(row: RowInfo) -> output.Row:
    if row.table == "default" and "varpd" in row.flags:
        to = "varpd"
    else:
        to = row.port or ", ".join(row.destinations)
    flags = ",".join(flag for flag in row.flags if flag != "varpd")
    return row.table, to, flags, _ago(row.used_s), _ago(row.updated_s)


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f} s ago"


def _say(text: str) -> None:
    click.echo(output.printable(text))
