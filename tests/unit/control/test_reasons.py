"""Why frames are dropped, in words."""

import pytest

from varpd.control.reasons import REASONS, explain
from varpd.engine import overlay
from varpd.engine.classify import KINDS
from varpd.net.decode import Reason


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_one_that_the_engine_tells_of(reason: str) -> None:
    told = overlay.__doc__ or ""
    kind = reason.rpartition("-")[2]
    name = f"{reason.removesuffix(kind)}KIND" if kind in KINDS else reason
    assert f"``{name}``" in told


@pytest.mark.parametrize("kind", KINDS)
def test_every_limit_is_explained(kind: str) -> None:
    assert f"`limit_{kind}`" in explain(f"limit-{kind}")
    assert f"`limit_source_{kind}`" in explain(f"limit-source-{kind}")


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.VXLAN_FLAGS}))
def test_whatever_a_proxy_refuses_is_explained(reason: str) -> None:
    assert explain(reason)


def test_a_reason_of_a_proxy_is_put_into_words() -> None:
    assert explain("arp-gratuitous") == "an ARP frame that is not answered: gratuitous"
    assert explain("ndp-hop-limit") == (
        "a neighbour discovery frame that is not answered: hop limit"
    )


def test_what_nobody_knows_is_not_explained() -> None:
    assert explain("of-a-later-version") == ""
