"""The conformance suite as test classes that pytest and unittest alike can run."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Final

from varpd.net.addresses import IpAddress
from varpd.provider.answers import Answer, DhcpAnswer, Drop, NeighbourAnswer, Target
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import Plugin
from varpd.provider.properties import Value
from varpd.provider.testing import checks
from varpd.provider.testing.calls import thread_name
from varpd.provider.testing.case import UNKNOWN, Case, Question
from varpd.provider.testing.host import VXLAN_KINDS
from varpd.provider.testing.watch import threads_left

PATIENCE: Final = 60.0
"""Seconds after which a check fails because the plugin hangs."""


def run(check: checks.Check, case: Case) -> None:
    """Run one check in an event loop of its own.

    Raises:
        AssertionError: the plugin does not pass, and why.
    """

    async def within_time() -> None:
        async with asyncio.timeout(PATIENCE):
            await check(case)

    with threads_left() as left:
        try:
            asyncio.run(within_time())
        except TimeoutError as exc:
            raise AssertionError(f"it hangs for {PATIENCE} s") from exc
    # A thread of ours that is stuck in an operation of a blocking plugin is not the plugin's.
    left = [name for name in left if name != thread_name(case.plugin)]
    if left:
        raise AssertionError(f"threads left behind: {', '.join(left)}")


class PluginConformance:
    """What every plugin promises, one test a promise.

    A subclass whose name begins with ``Test`` sets `plugin` and what else applies; the attributes
    mean what they mean in `Case`. A fixture may set them on ``self``.
    """

    plugin: type[Plugin]
    values: Mapping[str, Value] = {}
    refused: Sequence[tuple[str, Value]] = ()
    destination: DestinationKind = VXLAN_KINDS
    default: Target | Drop | None = None
    answers: Sequence[tuple[Question, Answer]] = ()
    neighbours: Sequence[tuple[IpAddress, NeighbourAnswer]] = ()
    dhcp: Sequence[tuple[Question, DhcpAnswer]] = ()
    unknown: Sequence[Question] = (UNKNOWN,)
    local: Target | None = None

    _ATTRIBUTES: ClassVar = tuple(item.name for item in fields(Case))

    def case(self) -> Case:
        """Return what the attributes say."""
        return Case(**{name: getattr(self, name) for name in self._ATTRIBUTES})

    def test_it_registers(self) -> None:
        run(checks.registers, self.case())

    def test_it_refuses_kinds_that_it_cannot_supply(self) -> None:
        run(checks.refuses_kinds_it_cannot_supply, self.case())

    def test_it_names_every_missing_property_at_start(self) -> None:
        run(checks.names_every_missing_property, self.case())

    def test_a_refused_value_changes_nothing(self) -> None:
        run(checks.a_refused_value_changes_nothing, self.case())

    def test_properties_hold_what_was_set(self) -> None:
        run(checks.properties_hold_what_was_set, self.case())

    def test_instances_do_not_share_values(self) -> None:
        run(checks.instances_do_not_share_values, self.case())

    def test_it_answers_as_expected(self) -> None:
        run(checks.answers_as_expected, self.case())

    def test_what_it_does_not_know_is_dropped(self) -> None:
        run(checks.what_it_does_not_know_is_dropped, self.case())

    def test_it_enumerates_what_it_looks_up(self) -> None:
        run(checks.tells_what_it_knows, self.case())

    def test_it_answers_at_once_as_one_by_one(self) -> None:
        run(checks.answers_at_once_as_one_by_one, self.case())

    def test_it_does_not_block_the_event_loop(self) -> None:
        run(checks.does_not_block_the_loop, self.case())

    def test_it_survives_questions_open_at_stop(self) -> None:
        run(checks.survives_questions_open_at_stop, self.case())

    def test_it_survives_any_end(self) -> None:
        run(checks.survives_any_end, self.case())

    def test_it_leaves_no_task_and_no_thread(self) -> None:
        run(checks.leaves_nothing_behind, self.case())

    def test_it_reloads(self) -> None:
        run(checks.reloads, self.case())

    def test_it_restores_what_it_saved(self) -> None:
        run(checks.restores_what_it_saved, self.case())


def conformance(plugin: type[Plugin], **case: Any) -> type[PluginConformance]:
    """Return the suite for `plugin`: ``TestMine = conformance(MyPlugin, answers=[...])``.

    Args:
        plugin: the class.
        case: the other fields of `Case`.

    Raises:
        TypeError: `Case` has no such field.
    """
    Case(plugin=plugin, **case)
    return type(f"{plugin.__name__}Conformance", (PluginConformance,), {"plugin": plugin, **case})
