"""From what is there to what is wanted, whatever both are."""

from hypothesis import given
from hypothesis import strategies as st

from support.fake_nftables import FakeNftables
from varpd.datapath.linux.nft import expressions, objects, reading
from varpd.datapath.linux.nft.content import EMPTY, Content, difference, merge
from varpd.datapath.linux.nft.expressions import Verdict
from varpd.datapath.linux.nft.objects import Chain, Element, Hook, Rule, Set, Table, Type
from varpd.datapath.linux.nft.wire import Family, Kind

TABLE = Table(Family.INET, "varpd")
NAMES = ("a", "b", "c")


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """Chains, sets and rules that go together."""
    bases = draw(st.lists(st.sampled_from(NAMES), unique=True))
    policies = st.sampled_from([Verdict.ACCEPT, Verdict.DROP])
    hooks = st.sampled_from([Hook.INPUT, Hook.OUTPUT])
    chains = [Chain(name, draw(hooks), 0, policy=draw(policies)) for name in bases]
    plain = draw(st.lists(st.sampled_from(("x", "y")), unique=True))
    chains += [Chain(name) for name in plain]
    ranges = draw(st.booleans())
    sets = [Set("s", (Type.PORT,)), Set("r", (Type.IPV4,), is_interval=True)][: 1 + ranges]
    sets += [Set("m", (Type.PORT,), is_map=True)]
    steps = st.sampled_from([(expressions.lookup("s"),), (expressions.counter(),)])
    rules = [
        Rule(chain.name, draw(steps), comment)
        for chain in chains
        for comment in draw(st.lists(st.sampled_from(NAMES), max_size=3))
    ]
    keys = st.integers(1, 5)
    elements = {Element("s", bytes([0, key])) for key in draw(st.sets(keys))}
    if plain:
        goto = st.sampled_from(plain)
        elements |= {Element("m", bytes([0, key]), goto=draw(goto)) for key in draw(st.sets(keys))}
    if ranges:
        for key in draw(st.sets(keys)):
            elements |= {Element("r", bytes([0, 0, key, 0]))}
            elements |= {Element("r", bytes([0, 0, key, 9]), ends=True)}
    return Content(tuple(chains), tuple(sets), tuple(rules), frozenset(elements))


def read(there: FakeNftables) -> Content:
    (table,) = there.tables.values()
    return Content(
        tuple(reading.chain(1, item).chain for item in table.chains.values()),
        tuple(map(reading.named_set, table.sets.values())),
        tuple(map(reading.rule, table.rules)),
        frozenset(e for item in table.elements.values() for e in reading.elements(item)),
    )


@given(contents(), contents())
def test_the_steps_lead_there_and_then_there_are_none(before: Content, after: Content) -> None:
    there = FakeNftables()
    session = there.session()
    session.change([objects.new_table(TABLE)])
    session.change(difference(TABLE, EMPTY, before))
    session.change(difference(TABLE, read(there), after))
    assert difference(TABLE, read(there), after) == []
    assert difference(TABLE, after, read(there)) == []


@given(contents())
def test_all_can_be_taken_away(before: Content) -> None:
    there = FakeNftables()
    session = there.session()
    session.change([objects.new_table(TABLE), *difference(TABLE, EMPTY, before)])
    session.change(difference(TABLE, before, EMPTY))
    assert read(there) == EMPTY


def test_a_chain_whose_rules_are_right_keeps_its_counters() -> None:
    rule = Rule("a", (expressions.counter(),), "counts")
    before = Content((Chain("a"),), (), (rule,))
    after = before | Content((Chain("b"),), (), (Rule("b", (), "new"),))
    assert [m.kind for m in difference(TABLE, before, after)] == [Kind.NEWCHAIN, Kind.NEWRULE]


def test_parts_are_put_together_in_their_order() -> None:
    one = Content((Chain("a"),), (), (Rule("a", (), "1"),), frozenset([Element("s", b"1")]))
    two = Content((Chain("b"),), (), (Rule("b", (), "2"),), frozenset([Element("s", b"2")]))
    assert merge([one, two]) == one | two
    assert merge([]) == EMPTY
