"""``overlayadm doctor``: what is wrong, and what to do about it."""

from typing import Final

import click

from varpd.cli import output
from varpd.cli.connection import connect
from varpd.cli.exits import Exit
from varpd.doctor import checks, findings
from varpd.doctor.findings import Finding, Severity
from varpd.net.addresses import IpAddress, parse_ip

_COLOURS: Final = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.PROBLEM: "red"}
_INDENT: Final = " " * 9


class IpParameter(click.ParamType[IpAddress]):
    """An IP address on the command line."""

    name = "ip"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> IpAddress:
        """Return the address."""
        try:
            return parse_ip(str(value))
        except ValueError:
            self.fail(f"{value!r} is not an IP address", param, ctx)


@click.command(name="doctor")
@click.option(
    "--peer",
    "peers",
    metavar="IP",
    type=IpParameter(),
    multiple=True,
    help="Look at the way to this host, too; datagrams are sent there. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.pass_context
def command(ctx: click.Context, peers: tuple[IpAddress, ...], as_json: bool) -> None:
    """Look for what is wrong: daemon, kernel, overlays, paths, firewall, room.

    Each finding says what to do. The exit status is 1 if there is a problem. It changes nothing.
    """
    from importlib.metadata import version

    from varpd.doctor import host  # only here, so that other commands do not load netlink

    with connect(ctx) as client:
        found = checks.run(host.gather(client, peers, version("varpd")))
    if as_json:
        output.print_json(found)
    else:
        show(found)
    if findings.is_wrong(found):
        ctx.exit(Exit.FAILED)


def show(found: list[Finding]) -> None:
    """Print findings for people, and what they come to."""
    for finding in found:
        word = click.style(f"{finding.severity.value:<8}", fg=_COLOURS[finding.severity])
        about = f"{finding.overlay}: " if finding.overlay else ""
        click.echo(f"{word} {finding.check}: {output.printable(about + finding.message)}")
        if finding.cure is not None:
            click.echo(f"{_INDENT}-> {output.printable(finding.cure)}")
    counts = {each: sum(item.severity is each for item in found) for each in Severity}
    click.echo(
        f"problems: {counts[Severity.PROBLEM]}, warnings: {counts[Severity.WARNING]}, "
        f"in order: {counts[Severity.OK]}"
    )
