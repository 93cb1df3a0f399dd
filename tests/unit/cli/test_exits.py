"""How the command ends."""

import click
import pytest
from click.testing import CliRunner

from varpd.cli.exits import Exit, Refused


def test_the_statuses_are_those_that_scripts_know() -> None:
    assert {status.name: status.value for status in Exit} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "INTERRUPTED": 130,
        "PIPE_CLOSED": 141,
    }


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("there is no overlay 'web0'", "overlayadm: there is no overlay 'web0'\n"),
        ("two\nlines\x1b[31m", "overlayadm: two\\nlines\\x1b[31m\n"),
    ],
)
def test_a_refusal_is_one_line_on_stderr(message: str, line: str) -> None:
    @click.command
    def command() -> None:
        raise Refused(message)

    result = CliRunner().invoke(command)
    assert (result.exit_code, result.stdout, result.stderr) == (Exit.FAILED, "", line)
