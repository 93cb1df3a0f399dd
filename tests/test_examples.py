"""Tests of the examples: they work as they stand, and are as short as they say."""

import io
import runpy
import subprocess
import sys
import tokenize
import tomllib
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Final

from varpd.net.addresses import MacAddress
from varpd.provider import DROP, PROXY_ARP, Target
from varpd.provider.registration import check_class
from varpd.provider.testing import conformance, frame_query

EXAMPLES: Final = Path(__file__).resolve().parent.parent / "examples"
TWENTY_LINES: Final = EXAMPLES / "twenty_lines.py"
MODULO: Final = EXAMPLES / "varpd-example-modulo"

RackPlugin: Final[Any] = runpy.run_path(str(TWENTY_LINES))["RackPlugin"]

TestTwentyLines = conformance(
    RackPlugin,
    values={"rack/network": IPv4Address("192.0.2.0")},
    answers=[
        ("02:42:0a:01:07:63", Target(ip=IPv4Address("192.0.2.7"), port=4789)),
        ("ff:ff:ff:ff:ff:ff", DROP),
        (frame_query("ff:ff:ff:ff:ff:ff", ethertype=0x0806), PROXY_ARP),
    ],
    neighbours=[
        (IPv4Address("10.1.7.99"), MacAddress.parse("02:42:0a:01:07:63")),
        (IPv4Address("11.1.7.99"), DROP),
        (IPv6Address("fd00::7"), DROP),
    ],
    unknown=["33:33:00:00:00:01", "02:00:5e:00:53:07"],
)


def code_lines(text: str) -> set[int]:
    """Return the numbers of the lines that hold code: no docstring, no comment, not blank."""
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        docstring = token.type == tokenize.STRING and token.line.lstrip().startswith('"""')
        if token.type not in nothing | {tokenize.ENDMARKER} and not docstring:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return lines


def test_twenty_lines_are_no_more_than_that() -> None:
    assert len(code_lines(TWENTY_LINES.read_text(encoding="utf-8"))) <= 20


def test_the_guide_shows_the_twenty_lines_as_they_are() -> None:
    guide = (EXAMPLES.parent / "docs" / "plugins.md").read_text(encoding="utf-8")

    assert f"```python\n{TWENTY_LINES.read_text(encoding='utf-8')}```" in guide


def test_the_plugin_of_twenty_lines_registers() -> None:
    assert check_class(RackPlugin) is RackPlugin


def test_the_distribution_names_its_plugin_and_its_tests_pass() -> None:
    project = tomllib.loads((MODULO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((name, value),) = project["entry-points"]["varpd.plugins"].items()
    module, _, attribute = value.partition(":")
    script = (
        f"import sys; sys.path.insert(0, {str(MODULO / 'src')!r})\n"
        f"import {module}\n"
        f"assert {module}.{attribute}.name == {name!r}\n"
        "import pytest\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'tests', '-c', 'pyproject.toml']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", script],
        cwd=MODULO,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
