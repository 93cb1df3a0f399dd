"""What the engine can ask for: a closed union, each command for one of two."""

import inspect
from typing import get_args

import pytest
from msgspec import Struct

from varpd.engine import commands
from varpd.engine.commands import Command, DatapathCommand, PluginCommand

STRUCTS = {
    value
    for _, value in inspect.getmembers(commands, inspect.isclass)
    if issubclass(value, Struct) and value.__module__ == commands.__name__
}


def test_every_command_is_in_the_union_and_nothing_else() -> None:
    assert set(get_args(Command)) == STRUCTS


def test_every_command_is_for_the_datapath_or_for_who_keeps_the_plugins() -> None:
    datapath, plugins = set(get_args(DatapathCommand)), set(get_args(PluginCommand))
    assert datapath | plugins == STRUCTS
    assert datapath & plugins == set()


@pytest.mark.parametrize("kind", sorted(STRUCTS, key=str))
def test_a_command_is_a_value_that_says_first_which_overlay_it_is_about(
    kind: type[Struct],
) -> None:
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.eq
    assert kind.__struct_fields__[0] == "overlay"
