"""What all overlays share."""

from varpd.datapath.linux.guard import layout, shared
from varpd.datapath.linux.nft.expressions import Meta


def test_only_listen_ports_are_looked_at_for_fragments() -> None:
    content = shared.inet(0, [4789, 8472])
    assert {(e.set, e.key) for e in content.elements} == {
        (layout.PORTS, b"\x12\xb5"),
        (layout.PORTS, b"\x21\x18"),
    }


def test_rules_use_only_chains_and_sets_that_are_there() -> None:
    content = shared.inet(0, [])
    chains, sets = {c.name for c in content.chains}, {s.name for s in content.sets}
    for rule in content.rules:
        assert rule.chain in chains
        for step in rule.expressions:
            if step.name == "lookup":
                assert step.attributes[1].rstrip(b"\0").decode() in sets


def test_the_user_of_varpd_is_the_one_that_may_send() -> None:
    rule = shared.inet(4711, []).rules_of(layout.FROM_HERE)[1]
    load, compare = rule.expressions[:2]
    assert load.attributes[2] == Meta.SKUID.to_bytes(4, "big")
    assert (4711).to_bytes(4, "little") in compare.attributes[3]


def test_frames_are_counted_before_and_behind_the_rules_of_others() -> None:
    priorities = {c.name: c.priority for c in shared.inet(0, []).chains}
    assert priorities[layout.SEEN] == -(2**31)
    assert priorities[layout.PASSED] == 2**31 - 1
