"""The plugin's half of the contract, one check a promise.

Each check is a coroutine that raises `AssertionError` with a sentence for the author.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from varpd.provider.answers import Drop, Target
from varpd.provider.errors import PropertyError, PropertyMissing, PropertyUnknown, Unsupported
from varpd.provider.kinds import COMBINATIONS
from varpd.provider.plugin import DynamicPlugin, Plugin, PointPlugin, State, StopReason
from varpd.provider.properties import Protection, Value
from varpd.provider.registration import RegistrationError, check_class
from varpd.provider.testing.case import Case
from varpd.provider.testing.frames import as_query, refreshed
from varpd.provider.testing.guard import FakeGuard
from varpd.provider.testing.samples import samples
from varpd.provider.testing.watch import Watchdog, no_blocking_calls, tasks_left

Check = Callable[[Case], Awaitable[None]]

_UNKNOWN_PROPERTY: Final = "no_such_property"


async def registers(case: Case) -> None:
    """The class can be registered."""
    try:
        check_class(case.plugin)
    except RegistrationError as exc:
        raise AssertionError(f"it cannot be registered: {exc}") from exc


async def refuses_kinds_it_cannot_supply(case: Case) -> None:
    """An encapsulation is refused with both sides named, or its targets are right."""
    for kinds in COMBINATIONS:
        host = case.make_host(kinds)
        try:
            instance = case.plugin(host, kinds)
        except Unsupported as exc:
            if kinds == case.destination:
                raise AssertionError(f"it refuses {kinds}, for which there are answers") from exc
            _expect(str(kinds) in str(exc), f"the refusal of {kinds} does not name it: {exc}")
            continue
        guard = FakeGuard(instance, host)
        async with _at_work(guard, case, f"for {kinds}, which it did not refuse"):
            await _ask_all(guard, case)


async def names_every_missing_property(case: Case) -> None:
    """`start` without required properties raises `PropertyMissing` with the name of each."""
    required = {
        declared.name
        for declared in case.plugin.properties(case.destination)
        if declared.required and declared.default is None
    }
    withouts = [{name} for name in sorted(required)] + [required]
    for without in withouts if required else []:
        guard = _made(case)
        given = {name: value for name, value in case.values.items() if name not in without}
        await guard.set_properties(given)
        words = ", ".join(sorted(without))
        try:
            await guard.start()
        except PropertyMissing as exc:
            wrong = f"without {words}, start names {', '.join(exc.names)} as missing"
            _expect(set(exc.names) == without, wrong)
        else:
            await guard.stop()
            raise AssertionError(f"it starts without {words}")


async def a_refused_value_changes_nothing(case: Case) -> None:
    """After a refusal every property is as it was, and the answers are."""
    guard = _made(case)
    await guard.set_properties(case.values)
    await _refuse(guard, _UNKNOWN_PROPERTY, 1)
    for declared in guard.declared():
        if declared.protection is Protection.RW:
            for value in samples(declared):
                await _try(guard, declared.name, value)
    await guard.stop()
    guard = _made(case)
    async with _at_work(guard, case):
        before = await _ask_all(guard, case)
        for name, value in case.refused:
            await _refuse(guard, name, value)
        _same("answers", before, await _ask_all(guard, case), "a value was refused")


async def properties_hold_what_was_set(case: Case) -> None:
    """`get_property` gives the value that was set, and after None the default again."""
    guard = _made(case)
    await guard.set_properties(case.values)
    for declared in guard.declared():
        if declared.name not in case.values or declared.protection is Protection.R:
            continue
        name, value = declared.name, case.values[declared.name]
        held = guard.instance.get_property(name)
        _expect(held == value, f"{name} was set to {value} and is {held}")
        await guard.set_property(name, None)
        held = guard.instance.get_property(name)
        wrong = f"{name} went back to its default {declared.default} and is {held}"
        _expect(held == declared.default, wrong)
    await guard.stop()


async def instances_do_not_share_values(case: Case) -> None:
    """What is set in one instance is not seen in another."""
    one, other = _made(case), _made(case)
    before = _values(other.instance)
    await one.set_properties(case.values)
    _same("properties", before, _values(other.instance), "another instance's were set")
    await one.stop()
    _same("properties", before, _values(other.instance), "another instance was closed")
    await other.stop()


async def answers_as_expected(case: Case) -> None:
    """Answers are of the right type and kinds, and those that the author expects."""
    async with _at_work(_made(case), case) as guard:
        answers = await _ask_all(guard, case)
        for question, expected in _expected(case).items():
            got = answers[question]
            _expect(got == expected, f"{question} is answered with {got!r}, not {expected!r}")


async def what_it_does_not_know_is_dropped(case: Case) -> None:
    """A question about something unknown is answered with DROP."""
    async with _at_work(_made(case), case) as guard:
        if isinstance(guard.instance, DynamicPlugin):
            for question in case.unknown:
                got = await guard.lookup(as_query(question))
                _expect(isinstance(got, Drop), f"unknown {question!r} is answered with {got!r}")


async def tells_what_it_knows(case: Case) -> None:
    """`enumerate` gives targets that `lookup` gives, too."""
    async with _at_work(_made(case), case) as guard:
        if isinstance(guard.instance, DynamicPlugin):
            for mac, target in await guard.enumerate():
                got = await guard.lookup(as_query(mac))
                _expect(got == target, f"{mac} is enumerated at {target}, looked up as {got}")


async def answers_at_once_as_one_by_one(case: Case) -> None:
    """Operations in progress together do not disturb each other."""
    async with _at_work(_made(case), case) as guard:
        before = await _ask_all(guard, case)
        several = asyncio.gather(*(_ask_all(guard, case) for _ in range(4)))
        await asyncio.gather(
            several,
            guard.save(),
            *(
                guard.set_property(declared.name, case.values[declared.name])
                for declared in guard.declared()
                if declared.live and declared.name in case.values
            ),
        )
        for answers in several.result():
            _same("answers", before, answers, "several were asked at once")


async def does_not_block_the_loop(case: Case) -> None:
    """No operation holds up the event loop."""
    with Watchdog() as watchdog, no_blocking_calls():
        async with _at_work(_made(case), case) as guard:
            await _ask_all(guard, case)
            await guard.save()
            await guard.reload()
            await _ask_all(guard, case)
    _expect(not watchdog.stacks, "it blocks the event loop:\n" + "".join(watchdog.stacks))


async def survives_questions_open_at_stop(case: Case) -> None:
    """`stop` comes while questions are open, and nothing goes wrong."""
    guard = _made(case)
    async with _at_work(guard, case):
        asked = asyncio.gather(*(_ask_all(guard, case) for _ in range(4)))
        await asyncio.sleep(0)
        await guard.stop()
        await asked


async def survives_any_end(case: Case) -> None:
    """`stop` without a question, for each reason, and `close` without `start`, go well."""
    for reason in StopReason:
        guard = _made(case)
        async with _at_work(guard, case, f"when it is stopped ({reason.value})"):
            await guard.stop(reason)
    guard = _made(case)
    await guard.stop()
    _well(guard, "when it is closed without a start")


async def leaves_nothing_behind(case: Case) -> None:
    """After `close` no task is left; whoever runs the check looks for threads."""
    before = asyncio.all_tasks()
    async with _at_work(_made(case), case) as guard:
        await _ask_all(guard, case)
        await guard.reload()
    # One turn for those who were just cancelled.
    await asyncio.sleep(0)
    left = tasks_left(before)
    _expect(not left, f"tasks left behind: {', '.join(left)}")


async def reloads(case: Case) -> None:
    """`reload` changes no answer where the data are the same."""
    async with _at_work(_made(case), case) as guard:
        before = await _ask_all(guard, case)
        await guard.reload()
        _same("answers", before, await _ask_all(guard, case), "it was reloaded")


async def restores_what_it_saved(case: Case) -> None:
    """``restore(save())`` gives the same properties and answers."""
    async with _at_work(_made(case), case) as guard:
        values, answers = _values(guard.instance), await _ask_all(guard, case)
        state = await guard.save()
    _expect(state is not None, "save gives nothing")
    kept: State = json.loads(json.dumps(dict(state or {})))
    host = case.make_host()
    guard = FakeGuard(case.plugin.restore(kept, host, case.destination), host)
    _same("properties", values, _values(guard.instance), "it was saved and restored")
    async with _at_work(guard, case, "after it was restored"):
        _same("answers", answers, await _ask_all(guard, case), "it was saved and restored")
        again = await guard.save()
    _same("states", kept, again or {}, "it was saved and restored")


def _made(case: Case) -> FakeGuard:
    host = case.make_host()
    return FakeGuard(case.plugin(host, case.destination), host)


@asynccontextmanager
async def _at_work(
    guard: FakeGuard, case: Case, where: str = ""
) -> AsyncGenerator[FakeGuard, None]:
    """Set the properties, start, and at the end stop and close; any fault fails the check."""
    try:
        await guard.set_properties(case.values)
        await guard.start()
    except (PropertyError, Unsupported) as exc:
        guard.close()
        raise AssertionError(f"it cannot start {where or 'with these values'}: {exc}") from exc
    try:
        yield guard
    finally:
        await guard.stop()
    _well(guard, where)


def _well(guard: FakeGuard, where: str) -> None:
    faults = [*guard.faults, *(repr(fault) for fault in guard.host.faults)]
    _expect(not faults, f"faults {where}: {'; '.join(faults)}")


async def _ask_all(guard: FakeGuard, case: Case) -> dict[str, Any]:
    """Ask everything that there is to ask, and varpd's own question for each MAC."""
    if isinstance(guard.instance, PointPlugin):
        return {"default": await guard.default()}
    answers: dict[str, Any] = {}
    queries = [as_query(question) for question, _ in case.answers]
    for at, query in enumerate(queries):
        answers[f"lookup {at} ({query.dst})"] = await guard.lookup(query)
    for query in refreshed(queries):
        answers[f"refresh of {query.dst}"] = await guard.lookup(query)
    for address, _ in case.neighbours:
        answers[f"arp {address}"] = await guard.arp(address)
    for at, (question, _) in enumerate(case.dhcp):
        answers[f"dhcp {at}"] = await guard.dhcp(as_query(question))
    return answers


def _expected(case: Case) -> dict[str, Any]:
    """Return what the author expects, by the names that `_ask_all` gives."""
    if issubclass(case.plugin, PointPlugin):
        return {} if case.default is None else {"default": case.default}
    expected: dict[str, Any] = {}
    for at, (question, answer) in enumerate(case.answers):
        query = as_query(question)
        expected[f"lookup {at} ({query.dst})"] = answer
        if isinstance(answer, Target) and not query.dst.is_group:
            expected[f"refresh of {query.dst}"] = answer
    expected |= {f"arp {address}": answer for address, answer in case.neighbours}
    expected |= {f"dhcp {at}": answer for at, (_, answer) in enumerate(case.dhcp)}
    return expected


async def _refuse(guard: FakeGuard, name: str, value: Value) -> None:
    _expect(await _try(guard, name, value), f"it does not refuse {name}={value}")


async def _try(guard: FakeGuard, name: str, value: Value) -> bool:
    """Set a property and return whether it was refused; then nothing may have changed."""
    before = _values(guard.instance)
    try:
        await guard.set_property(name, value)
    except PropertyUnknown:
        _expect(name == _UNKNOWN_PROPERTY, f"it declares {name} and does not know it")
    except PropertyError:
        pass
    except Exception as exc:
        words = f"{type(exc).__name__}: {exc}"
        raise AssertionError(f"{name}={value} raises no PropertyInvalid but {words}") from exc
    else:
        return False
    _same("properties", before, _values(guard.instance), f"{name}={value} was refused")
    return True


def _values(instance: Plugin) -> dict[str, Value | None]:
    declared = instance.properties(instance.destination)
    return {item.name: instance.get_property(item.name) for item in declared}


def _same(what: str, before: Mapping[str, object], after: Mapping[str, object], when: str) -> None:
    if before == after:
        return
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    changes = ", ".join(f"{name}: {before.get(name)} -> {after.get(name)}" for name in names)
    raise AssertionError(f"{what} changed after {when}: {changes}")


def _expect(right: object, message: str) -> None:
    if not right:
        raise AssertionError(message)
