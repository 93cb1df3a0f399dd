"""What is told of one MAC."""

from support.script import HERE, OVERLAY, Script, mac, packet, target
from varpd.engine.commands import StartLookups
from varpd.engine.events import (
    EntrySet,
    FramesPunted,
    LocalAddressesChanged,
    LookupsAnswered,
    MacsLearned,
    TargetSet,
)
from varpd.engine.portrait import Hold, Portrait, portray
from varpd.provider.answers import DROP

A, GUEST = mac(1), mac(9)


def seen(script: Script, after: float = 0.0) -> Portrait:
    overlay = script.engine.overlay(OVERLAY)
    assert overlay is not None
    return portray(overlay, A, script.now + after)


def test_of_a_mac_without_an_entry_nothing_is_known() -> None:
    portrait = seen(Script())
    assert (portrait.state, portrait.origin, portrait.targets) == ("absent", None, ())
    assert (portrait.asked, portrait.learned, portrait.rows_due) == (False, False, False)


def test_a_known_target_has_an_age_and_an_end() -> None:
    script = Script(ttl=100.0).when(TargetSet(OVERLAY, A, target(2)))
    portrait = seen(script, after=30)
    assert (portrait.state, portrait.origin) == ("valid", "plugin")
    assert (portrait.targets, portrait.remote) == ((target(2),), (target(2),))
    assert (portrait.age, portrait.expires_in) == (30.0, 70.0)
    assert portrait.rows_due


def test_rows_that_were_just_asked_for_need_not_be_there_yet() -> None:
    assert not seen(Script().when(TargetSet(OVERLAY, A, target(2)))).rows_due


def test_a_target_that_is_this_host_has_no_rows() -> None:
    script = Script().when(LocalAddressesChanged(frozenset({HERE})))
    portrait = seen(script.when(TargetSet(OVERLAY, A, target(1))), after=30)
    assert (portrait.local, portrait.targets, portrait.remote) == (True, (target(1),), ())
    assert not portrait.rows_due


def test_frames_wait_while_the_plugin_is_asked() -> None:
    sent = packet(A, GUEST)
    portrait = seen(Script().when(FramesPunted(OVERLAY, [sent, sent])))
    assert (portrait.state, portrait.asked) == ("pending", True)
    assert (portrait.waiting_frames, portrait.waiting_bytes) == (2, 2 * len(sent))


def test_what_the_plugin_dropped_is_held_for_a_while() -> None:
    script = Script(negative_ttl=5.0).when(FramesPunted(OVERLAY, [packet(A, GUEST)]))
    script.when(LookupsAnswered(OVERLAY, script.asked(StartLookups).queries, [DROP]))
    assert seen(script, after=1).holds == (Hold((0x88B5, None), 4.0),)
    assert seen(script, after=1).state == "negative"
    assert seen(script, after=6).holds == ()


def test_the_administrators_word_does_not_end() -> None:
    script = Script(ttl=100.0).when(EntrySet(OVERLAY, A, target(2)))
    assert (seen(script).origin, seen(script).expires_in) == ("administrator", None)
    script.when(EntrySet(OVERLAY, A, None))
    assert (seen(script).state, seen(script).origin) == ("blocked", "administrator")


def test_a_guest_that_sends_from_it_is_told() -> None:
    assert seen(Script().when(MacsLearned(OVERLAY, [A]))).learned
