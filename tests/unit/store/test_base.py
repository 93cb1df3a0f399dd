"""What is stored of an overlay when nothing is said."""

from support.stores import overlay
from varpd.store.base import Phase


def test_an_overlay_exists_and_is_kept_unless_something_else_is_said() -> None:
    plain = overlay("blue")
    assert (plain.phase, plain.boot, plain.state) == (Phase.MADE, None, None)
    assert (plain.properties, plain.defaults, plain.entries) == ({}, {}, {})
