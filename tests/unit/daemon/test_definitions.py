"""Which overlays there are, and what each has for itself."""

import pytest

from support.stores import overlay
from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon.definitions import Definitions
from varpd.daemon.turn import Turn
from varpd.daemon.waiting import Waiting


@pytest.fixture
async def definitions() -> Definitions:
    """Overlay blue, number 1, which waits."""
    made = Definitions()
    made.claim(overlay("blue"))
    made.define(Waiting(overlay("blue"), Turn("blue"), "no plugin"))
    return made


async def test_what_waits_is_defined_and_not_at_work(definitions: Definitions) -> None:
    assert [item.name for item in definitions.defined()] == ["blue"]
    assert definitions.all() == []
    assert definitions.get("blue").name == "blue"
    with pytest.raises(ControlError, match="overlay blue is not at work: no plugin"):
        definitions.find("blue")


async def test_what_is_not_defined_is_not_found(definitions: Definitions) -> None:
    for find in (definitions.get, definitions.find):
        with pytest.raises(ControlError) as caught:
            find("red")
        assert caught.value.code is ErrorCode.NOT_FOUND


async def test_who_takes_a_turn_sees_what_there_is_now(definitions: Definitions) -> None:
    async with definitions.changing("blue") as found:
        assert found is definitions.get("blue")
        with pytest.raises(ControlError) as caught:
            async with definitions.get("blue").turn.taken(timeout=0):
                pytest.fail("two change it at once")
    assert caught.value.code is ErrorCode.BUSY


async def test_a_claim_holds_from_before_the_overlay_is_there_until_it_is_gone(
    definitions: Definitions,
) -> None:
    definitions.claim(overlay("red", vnetid=8, number=2))
    assert definitions.free_number("green") == 3
    with pytest.raises(ControlError) as caught:
        definitions.free_number("red")
    assert (caught.value.code, caught.value.field) == (ErrorCode.EXISTS, "name")
    with pytest.raises(ControlError, match="belongs to overlay blue"):
        definitions.claim(overlay("green", number=3))
    definitions.undefine("blue")
    definitions.undefine("never")
    definitions.claim(overlay("green", number=3))
    assert definitions.free_number("blue") == 1
