"""Stories of frames that are questions of their own."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from msgspec import structs

from support.script import HEADER, HERE, OVERLAY, UNLIMITED, Script, mac, packet, settings, target
from varpd.engine import proxy_arp, proxy_ndp
from varpd.engine.commands import (
    CancelQuestions,
    Command,
    Inject,
    Install,
    ReportFault,
    Resend,
    StartDhcp,
    StartLookups,
    StartNeighbours,
)
from varpd.engine.events import (
    DEFERRED,
    DeadlinePassed,
    Deferred,
    DhcpAnswered,
    Failed,
    FramesPunted,
    InstanceStarted,
    InstanceStopped,
    Invalidated,
    LocalAddressesChanged,
    LookupsAnswered,
    MacsLearned,
    NeighbourQuestion,
    NeighboursAnswered,
    OverlayChanged,
    TargetSet,
)
from varpd.engine.inquiries import GIVE_UP, describe
from varpd.net import arp, dhcpv4, ethernet, ipv4, ipv6, ndp, udp
from varpd.net.addresses import (
    BROADCAST,
    ZERO,
    MacAddress,
    ipv6_multicast_mac,
    solicited_node,
)
from varpd.provider.answers import (
    DROP,
    PROXY_ARP,
    PROXY_DHCP,
    PROXY_NDP,
    Answer,
    DhcpAnswer,
    Neighbour,
    NeighbourAnswer,
    Proxy,
    Replicate,
)
from varpd.provider.query import FRAME, REFRESH, Query

ASKER, OTHER, HOLDER, SERVER = mac(9), mac(8), mac(5), mac(7)
IP_HOLDER, IP_ASKER = IPv4Address("10.0.0.5"), IPv4Address("10.0.0.9")
IP6_HOLDER, IP6_ASKER = IPv6Address("2001:db8::5"), IPv6Address("fe80::9")
TAG = ethernet.Tag(7, pcp=3)


# -- frames, as they are punted ----------------------------------------------------------------


def arp_request(
    asker: MacAddress = ASKER,
    address: IPv4Address = IP_HOLDER,
    sender: IPv4Address = IP_ASKER,
    *,
    dst: MacAddress = BROADCAST,
    tag: ethernet.Tag | None = None,
) -> bytes:
    asked = arp.Packet(arp.Operation.REQUEST, asker, sender, ZERO, address)
    kind = ethernet.EtherType.ARP
    return HEADER + ethernet.Frame(dst, asker, kind, asked.serialize(), tag).serialize()


def solicitation(
    asker: MacAddress = ASKER,
    address: IPv6Address = IP6_HOLDER,
    sender: IPv6Address = IP6_ASKER,
    *,
    tag: ethernet.Tag | None = None,
) -> bytes:
    group = solicited_node(address)
    payload = ndp.Solicitation(address).to_packet(sender, group).serialize()
    dst, kind = ipv6_multicast_mac(group), ethernet.EtherType.IPV6
    return HEADER + ethernet.Frame(dst, asker, kind, payload, tag).serialize()


def dhcp(
    operation: dhcpv4.Operation, client: MacAddress, *, tag: ethernet.Tag | None = None
) -> bytes:
    """Return a broadcast of the client, or of the server to the client."""
    message = dhcpv4.Message(operation, 1, client, options=bytes((53, 1, operation, 255)))
    asks = operation is dhcpv4.Operation.REQUEST
    ports = (dhcpv4.CLIENT_PORT, dhcpv4.SERVER_PORT)
    source, port = ports if asks else reversed(ports)
    src, dst = IPv4Address("0.0.0.0"), IPv4Address("255.255.255.255")
    datagram = udp.Datagram(source, port, message.serialize()).serialize(src, dst)
    payload = ipv4.Packet(src, dst, udp.PROTOCOL, datagram).serialize()
    sender, kind = client if asks else SERVER, ethernet.EtherType.IPV4
    return HEADER + ethernet.Frame(BROADCAST, sender, kind, payload, tag).serialize()


def redirected(punted: bytes, dst: MacAddress) -> bytes:
    start = len(HEADER)
    return punted[:start] + dst + punted[start + 6 :]


def arp_reply(punted: bytes, holder: MacAddress = HOLDER) -> bytes:
    return proxy_arp.reply(proxy_arp.parse(punted[len(HEADER) :]), holder)


def advertisement(punted: bytes, holder: MacAddress = HOLDER, *, router: bool = False) -> bytes:
    return proxy_ndp.reply(proxy_ndp.parse(punted[len(HEADER) :]), holder, router=router)


# -- steps of stories --------------------------------------------------------------------------


def punt(*packets: bytes) -> FramesPunted:
    return FramesPunted(OVERLAY, list(packets))


def lookup(query: Query, answer: Answer | Deferred | Failed) -> LookupsAnswered:
    return LookupsAnswered(OVERLAY, [query], [answer])


def neighbour(
    question: NeighbourQuestion, answer: NeighbourAnswer | Deferred | Failed
) -> NeighboursAnswered:
    return NeighboursAnswered(OVERLAY, [question], [answer])


def dhcp_server(query: Query, answer: DhcpAnswer | Deferred | Failed) -> DhcpAnswered:
    return DhcpAnswered(OVERLAY, [query], [answer])


def queries(script: Script) -> list[Query]:
    found: list[Query] = script.asked(StartLookups).queries
    return found


def query(script: Script) -> Query:
    (only,) = queries(script)
    return only


def question(script: Script) -> NeighbourQuestion:
    (only,) = script.asked(StartNeighbours).questions
    assert isinstance(only, NeighbourQuestion)
    return only


def dhcp_query(script: Script) -> Query:
    (only,) = script.asked(StartDhcp).queries
    assert isinstance(only, Query)
    return only


def asking(*packets: bytes, **changes: Any) -> tuple[Script, NeighbourQuestion]:
    """Return a story in which `packets` ask for one address, which the plugin is asked about."""
    script = Script(**changes).when(punt(*packets))
    asked = queries(script)
    is_arp = asked[0].ethertype == ethernet.EtherType.ARP
    answer: Answer = PROXY_ARP if is_arp else PROXY_NDP
    script.when(LookupsAnswered(OVERLAY, asked, [answer] * len(asked)))
    return script, question(script)


def replying(script: Script) -> list[bytes]:
    frames: list[bytes] = script.asked(Inject).frames
    return frames


def limited(**changes: Any) -> dict[str, Any]:
    return {"limits": structs.replace(UNLIMITED, **changes)}


def nothing_is_left(script: Script) -> bool:
    """Whether no frame waits, nothing becomes due and no question counts as in progress."""
    bound = 3
    script.when(OverlayChanged(OVERLAY, settings(**limited(lookups=bound))), then=[])
    script.when(punt(*(packet(mac(100 + n), ASKER) for n in range(bound))))
    is_idle = len(queries(script)) == bound
    script.when(LookupsAnswered(OVERLAY, queries(script), [target(2)] * bound))
    script.when(DeadlinePassed(), then=[], after=100)
    engine = script.engine
    return is_idle and engine.waiting(OVERLAY) == 0 and engine.next_deadline() is None


# -- who has an address ------------------------------------------------------------------------


def test_a_request_is_asked_about_then_its_address_then_answered_behind_the_row() -> None:
    asked = arp_request()
    script = Script().when(punt(asked))
    first = query(script)
    assert (first.dst, first.frame, first.cause) == (BROADCAST, asked[len(HEADER) :], FRAME)
    script.when(lookup(first, PROXY_ARP))
    who = question(script)
    assert script.said == [StartNeighbours(OVERLAY, [who])]
    assert who.address == IP_HOLDER
    script.when(neighbour(who, HOLDER))
    at_once = query(script)
    assert script.said == [StartLookups(OVERLAY, [at_once])]
    assert (at_once.dst, at_once.frame, at_once.cause) == (HOLDER, None, REFRESH)
    script.when(
        lookup(at_once, target(2)),
        then=[
            Install(OVERLAY, target(2), [HOLDER], []),
            Inject(OVERLAY, [arp_reply(asked)]),
        ],
    )
    assert script.count("answered") == 1


def test_a_solicitation_is_answered_likewise() -> None:
    asked = solicitation()
    script, who = asking(asked)
    assert who.address == IP6_HOLDER
    script.when(neighbour(who, HOLDER))
    script.when(
        lookup(query(script), target(2)),
        then=[
            Install(OVERLAY, target(2), [HOLDER], []),
            Inject(OVERLAY, [advertisement(asked)]),
        ],
    )


@pytest.mark.parametrize("router", [False, True])
def test_an_advertisement_says_router_only_if_the_plugin_does(router: bool) -> None:
    asked = solicitation()
    script, who = asking(asked)
    script.when(neighbour(who, Neighbour(HOLDER, router=router)))
    script.when(lookup(query(script), target(2)))
    assert replying(script) == [advertisement(asked, router=router)]
    message = ndp.parse(ipv6.Packet.parse(replying(script)[0][14:]))
    assert isinstance(message, ndp.Advertisement)
    assert message.router is router


def test_the_plugin_may_name_an_ipv4_neighbour_as_such_too() -> None:
    asked = arp_request()
    script, who = asking(asked)
    script.when(neighbour(who, Neighbour(HOLDER, router=True)))
    script.when(lookup(query(script), target(2)))
    assert replying(script) == [arp_reply(asked)]


@pytest.mark.parametrize("make", [arp_request, solicitation])
def test_a_reply_is_in_the_vlan_of_the_question(make: Any) -> None:
    script, who = asking(make(tag=TAG))
    script.when(neighbour(who, HOLDER))
    script.when(lookup(query(script), target(2)))
    (reply,) = replying(script)
    assert ethernet.Frame.parse(reply).tag == TAG


def test_equal_questions_are_asked_once_and_every_asker_is_answered() -> None:
    asked = [arp_request(ASKER), arp_request(OTHER), arp_request(OTHER, tag=TAG)]
    script, who = asking(*asked)
    script.when(neighbour(who, HOLDER))
    script.when(lookup(query(script), target(2)))
    assert replying(script) == [arp_reply(frame) for frame in asked]
    assert script.count("answered") == script.count("proxied.arp.answered") == 3


def test_the_same_frame_again_is_looked_up_once_and_answered_as_often_as_it_came() -> None:
    asked = arp_request()
    script = Script().when(punt(asked, asked))
    first = query(script)
    script.when(lookup(first, DEFERRED), then=[])
    script.when(punt(asked), then=[])
    script.when(lookup(first, PROXY_ARP))
    script.when(neighbour(question(script), HOLDER))
    script.when(lookup(query(script), target(2)))
    assert replying(script) == [arp_reply(asked)] * 3


def test_who_asks_while_the_plugin_thinks_gets_the_same_answer() -> None:
    early, late = arp_request(ASKER), arp_request(OTHER)
    script, who = asking(early)
    script.when(neighbour(who, DEFERRED), then=[])
    script.when(punt(late), after=4)
    script.when(lookup(query(script), PROXY_ARP), then=[])
    script.when(neighbour(who, HOLDER))
    script.when(lookup(query(script), target(2)))
    assert replying(script) == [arp_reply(early), arp_reply(late)]


def test_an_answered_question_is_asked_anew_the_next_time() -> None:
    script, who = asking(arp_request())
    script.when(neighbour(who, DROP), then=[])
    script.when(punt(arp_request()))
    script.when(lookup(query(script), PROXY_ARP))
    assert question(script) is not who


def test_a_slow_lookup_of_one_request_does_not_delay_another() -> None:
    slow, quick = arp_request(), arp_request(address=IPv4Address("10.0.0.6"))
    script = Script().when(punt(slow))
    thinking = query(script)
    script.when(lookup(thinking, DEFERRED), then=[])
    script.when(punt(quick))
    script.when(lookup(query(script), PROXY_ARP))
    who = question(script)
    assert who.address == IPv4Address("10.0.0.6")
    script.when(neighbour(who, HOLDER))
    script.when(lookup(query(script), target(2)))
    assert replying(script) == [arp_reply(quick)]
    script.when(lookup(thinking, PROXY_ARP))
    assert question(script).address == IP_HOLDER


def test_requests_and_solicitations_never_make_or_meet_an_entry() -> None:
    script = Script()
    script.when(punt(arp_request(), solicitation(), packet(BROADCAST, ASKER)))
    assert script.count("asked.lookup") == 3
    assert script.engine.entries(OVERLAY) == []


def test_an_address_that_nobody_has_is_not_answered() -> None:
    script, who = asking(arp_request())
    script.when(neighbour(who, DROP), then=[])
    assert script.count("dropped.neighbour-unknown") == script.count("proxied.arp.unknown") == 1
    assert nothing_is_left(script)


def test_a_failure_to_find_an_address_drops_the_request() -> None:
    script, who = asking(arp_request(), arp_request(OTHER))
    script.when(neighbour(who, Failed("raised")), then=[])
    assert script.count("dropped.failed") == script.count("proxied.arp.failed") == 2
    assert nothing_is_left(script)


# -- what is not answered ----------------------------------------------------------------------

PROBE = arp_request(sender=IPv4Address("0.0.0.0"))
DAD = solicitation(sender=IPv6Address("::"))


@pytest.mark.parametrize("probe", [PROBE, DAD], ids=["arp", "ndp"])
def test_who_checks_its_own_address_is_not_answered(probe: bytes) -> None:
    script, who = asking(probe)
    script.when(neighbour(who, ASKER), then=[])
    assert script.count("dropped.probe-own") == 1
    assert script.count("proxied.arp.probe") + script.count("proxied.ndp.probe") == 1
    assert nothing_is_left(script)


@pytest.mark.parametrize(
    ("probe", "reply"), [(PROBE, arp_reply(PROBE)), (DAD, advertisement(DAD))], ids=["arp", "ndp"]
)
def test_who_checks_an_address_that_another_has_is_answered(probe: bytes, reply: bytes) -> None:
    script, who = asking(probe)
    script.when(neighbour(who, HOLDER))
    script.when(lookup(query(script), target(2)))
    assert replying(script) == [reply]


def test_a_probe_of_its_own_address_does_not_spoil_the_answer_to_others() -> None:
    other = arp_request(OTHER)
    script, who = asking(PROBE, other)
    script.when(neighbour(who, ASKER))
    script.when(lookup(query(script), target(2)))
    assert replying(script) == [arp_reply(other, ASKER)]


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        (arp_request(), arp_reply(arp_request(), ASKER)),
        (solicitation(), advertisement(solicitation(), ASKER)),
    ],
    ids=["arp", "ndp"],
)
def test_who_has_an_address_may_hear_that_another_is_its_own_too(
    asked: bytes, reply: bytes
) -> None:
    script, who = asking(asked)
    script.when(neighbour(who, ASKER))
    script.when(lookup(query(script), target(2)))
    assert replying(script) == [reply]


def test_a_gratuitous_request_is_not_even_asked_about() -> None:
    script = Script().when(punt(arp_request(address=IP_ASKER)))
    script.when(lookup(query(script), PROXY_ARP), then=[])
    assert script.count("dropped.arp-gratuitous") == 1
    assert nothing_is_left(script)


def test_a_unicast_request_is_an_ordinary_frame() -> None:
    asked = arp_request(dst=HOLDER)
    script = Script().when(punt(asked))
    assert query(script).dst == HOLDER
    script.when(
        lookup(query(script), target(2)),
        then=[Install(OVERLAY, target(2), [HOLDER], [asked])],
    )


@pytest.mark.parametrize("make", [arp_request, solicitation])
def test_the_address_of_a_guest_here_is_not_answered_since_it_answers_itself(make: Any) -> None:
    script, who = asking(make())
    script.when(LocalAddressesChanged(frozenset({HERE})), then=[])
    script.when(TargetSet(OVERLAY, HOLDER, target(1)), then=[])
    script.when(neighbour(who, HOLDER), then=[])
    assert script.count("dropped.local") == 1
    assert script.count("answered") == 0


def test_a_guest_here_is_known_by_the_target_that_is_asked_for_at_once() -> None:
    script, who = asking(arp_request())
    script.when(LocalAddressesChanged(frozenset({HERE})), then=[])
    script.when(neighbour(who, HOLDER))
    script.when(lookup(query(script), target(1)), then=[])
    assert script.count("dropped.local") == 1


@pytest.mark.parametrize("answer", [DEFERRED, DROP, Failed("raised")])
def test_a_guest_here_is_known_by_its_port_where_its_target_is_not_known_at_once(
    answer: Any,
) -> None:
    script, who = asking(arp_request())
    script.when(MacsLearned(OVERLAY, [HOLDER]))
    script.when(lookup(query(script), DROP), then=[])
    script.when(neighbour(who, HOLDER))
    script.when(lookup(query(script), answer), then=[])
    assert script.count("dropped.local") == 1
    assert script.count("answered") == 0


def test_a_reply_about_a_mac_that_a_guest_here_only_claims_goes_out_behind_its_row() -> None:
    asked = arp_request()
    script, who = asking(asked)
    script.when(MacsLearned(OVERLAY, [HOLDER]))
    script.when(lookup(query(script), target(2)))
    script.when(neighbour(who, HOLDER), then=[Inject(OVERLAY, [arp_reply(asked)])])


@pytest.mark.parametrize(
    ("frame", "answer", "reason"),
    [
        (solicitation(), PROXY_ARP, "arp-ethertype"),
        (arp_request(), PROXY_NDP, "ndp-ethertype"),
        (arp_request(), PROXY_DHCP, "dhcp-ethertype"),
        (packet(BROADCAST, ASKER, ethertype=0x0806), PROXY_ARP, "arp-hardware-type"),
        (HEADER + BROADCAST + ASKER + b"\x08\x06" + bytes(4), PROXY_ARP, "truncated"),
    ],
)
def test_what_a_proxy_cannot_read_is_dropped_for_a_reason(
    frame: bytes, answer: Proxy, reason: str
) -> None:
    script = Script().when(punt(frame))
    script.when(lookup(query(script), answer), then=[])
    assert script.count(f"dropped.{reason}") == 1
    protocol = {PROXY_ARP: "arp", PROXY_NDP: "ndp", PROXY_DHCP: "dhcp"}[answer]
    assert script.count(f"proxied.{protocol}.refused") == 1
    assert nothing_is_left(script)


# -- the target that is asked for at once ------------------------------------------------------


def found(**changes: Any) -> tuple[Script, Query, bytes]:
    """Return a story in which the target of the MAC found is being asked for."""
    asked = arp_request()
    script, who = asking(asked, **changes)
    script.when(neighbour(who, HOLDER))
    return script, query(script), arp_reply(asked)


@pytest.mark.parametrize("answer", [DEFERRED, DROP, Failed("raised"), PROXY_ARP])
def test_a_reply_does_not_wait_for_a_target_that_is_not_known_at_once(answer: Any) -> None:
    script, at_once, reply = found()
    script.when(lookup(at_once, answer), then=[Inject(OVERLAY, [reply])])


def test_the_frame_behind_a_reply_joins_the_lookup_that_is_in_progress() -> None:
    script, at_once, reply = found()
    frame = packet(HOLDER, ASKER)
    script.when(lookup(at_once, DEFERRED), then=[Inject(OVERLAY, [reply])])
    script.when(punt(frame), then=[], after=20)
    script.when(
        lookup(at_once, target(2)),
        then=[Install(OVERLAY, target(2), [HOLDER], [frame])],
    )


def test_a_mac_that_is_known_is_not_asked_about_again() -> None:
    asked = arp_request()
    script, who = asking(asked)
    script.when(TargetSet(OVERLAY, HOLDER, target(2)))
    script.when(neighbour(who, HOLDER), then=[Inject(OVERLAY, [arp_reply(asked)])])


def test_replies_in_one_turn_go_out_together_behind_the_row_of_their_mac() -> None:
    request, solicited = arp_request(), solicitation()
    script = Script().when(punt(request))
    script.when(lookup(query(script), PROXY_ARP))
    four = question(script)
    script.when(punt(solicited))
    script.when(lookup(query(script), PROXY_NDP))
    six = question(script)
    script.when(NeighboursAnswered(OVERLAY, [four, six], [HOLDER, HOLDER]))
    at_once = query(script)
    assert script.said == [StartLookups(OVERLAY, [at_once])]
    script.when(
        lookup(at_once, target(2)),
        then=[
            Install(OVERLAY, target(2), [HOLDER], []),
            Inject(OVERLAY, [arp_reply(request), advertisement(solicited)]),
        ],
    )


def test_a_reply_goes_out_whatever_is_said_of_its_mac_meanwhile() -> None:
    script, at_once, reply = found()
    script.when(Invalidated(OVERLAY, HOLDER), then=[])
    script.when(lookup(at_once, target(2)), then=[Inject(OVERLAY, [reply])])
    assert script.count("ignored.late") == 1


@pytest.mark.parametrize("bound", ["targets", "lookups"])
def test_without_room_to_ask_for_the_target_the_reply_goes_out_alone(bound: str) -> None:
    asked = arp_request()
    script, who = asking(asked)
    script.when(OverlayChanged(OVERLAY, settings(**limited(**{bound: 0}))), then=[])
    script.when(neighbour(who, HOLDER), then=[Inject(OVERLAY, [arp_reply(asked)])])


def test_a_reply_that_waits_at_a_stop_still_goes_out() -> None:
    script, at_once, reply = found()
    script.when(InstanceStopped(OVERLAY), then=[Inject(OVERLAY, [reply])])
    script.when(lookup(at_once, Failed("stopped")), then=[])


# -- DHCP --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", [None, TAG])
def test_a_clients_broadcast_is_sent_to_the_server_that_the_plugin_names(
    tag: ethernet.Tag | None,
) -> None:
    discover = dhcp(dhcpv4.Operation.REQUEST, ASKER, tag=tag)
    script = Script().when(TargetSet(OVERLAY, SERVER, target(2)))
    script.when(punt(discover))
    script.when(lookup(query(script), PROXY_DHCP))
    asked = dhcp_query(script)
    assert script.said == [StartDhcp(OVERLAY, [asked])]
    assert (asked.src, asked.frame) == (ASKER, discover[len(HEADER) :])
    script.when(
        dhcp_server(asked, SERVER),
        then=[Install(OVERLAY, target(2), [], [redirected(discover, SERVER)])],
    )
    assert script.count("dhcp-redirected") == script.count("proxied.dhcp.answered") == 1


def test_the_way_to_a_server_is_looked_up_as_for_any_frame() -> None:
    discover = dhcp(dhcpv4.Operation.REQUEST, ASKER)
    script = Script().when(punt(discover))
    script.when(lookup(query(script), PROXY_DHCP))
    script.when(dhcp_server(dhcp_query(script), SERVER))
    assert (query(script).dst, query(script).cause) == (SERVER, FRAME)
    script.when(
        lookup(query(script), target(2)),
        then=[Install(OVERLAY, target(2), [SERVER], [redirected(discover, SERVER)])],
    )


@pytest.mark.parametrize("tag", [None, TAG])
def test_a_servers_broadcast_is_sent_to_the_client_that_it_names(tag: ethernet.Tag | None) -> None:
    offer = dhcp(dhcpv4.Operation.REPLY, HOLDER, tag=tag)
    script = Script().when(TargetSet(OVERLAY, HOLDER, target(3)))
    script.when(punt(offer))
    script.when(
        lookup(query(script), PROXY_DHCP),
        then=[Install(OVERLAY, target(3), [], [redirected(offer, HOLDER)])],
    )


def test_without_a_server_a_clients_broadcast_is_dropped() -> None:
    script = Script().when(punt(dhcp(dhcpv4.Operation.REQUEST, ASKER)))
    script.when(lookup(query(script), PROXY_DHCP))
    script.when(dhcp_server(dhcp_query(script), DROP), then=[])
    assert script.count("dropped.dhcp-no-server") == script.count("proxied.dhcp.unknown") == 1
    assert nothing_is_left(script)


def test_a_failure_to_name_a_server_drops_the_broadcast() -> None:
    script = Script().when(punt(dhcp(dhcpv4.Operation.REQUEST, ASKER)))
    script.when(lookup(query(script), PROXY_DHCP))
    script.when(dhcp_server(dhcp_query(script), Failed("raised")), then=[])
    assert script.count("dropped.failed") == script.count("proxied.dhcp.failed") == 1
    assert nothing_is_left(script)


# -- broadcast ---------------------------------------------------------------------------------

SHOUT = packet(BROADCAST, ASKER)


@pytest.mark.parametrize(
    ("answer", "commands", "counter"),
    [
        (target(2), [Resend(OVERLAY, target(2), [SHOUT])], "replicated"),
        (
            Replicate.to(target(2), target(1), target(3), target(2)),
            [Resend(OVERLAY, target(2), [SHOUT]), Resend(OVERLAY, target(3), [SHOUT])],
            "replicated",
        ),
        (target(1), [], "dropped.local"),
        (Replicate.to(target(1)), [], "dropped.local"),
        (DROP, [], "dropped.plugin"),
        (Failed("raised"), [], "dropped.failed"),
    ],
)
def test_a_broadcast_goes_where_the_plugin_says_but_not_to_this_host(
    answer: Answer | Failed, commands: list[Command], counter: str
) -> None:
    script = Script().when(LocalAddressesChanged(frozenset({HERE})))
    script.when(punt(SHOUT))
    script.when(lookup(query(script), answer), then=commands)
    assert script.count(counter) == 1
    assert script.engine.entries(OVERLAY) == []
    assert nothing_is_left(script)


def test_a_dropped_broadcast_is_asked_about_again_at_once() -> None:
    script = Script().when(punt(SHOUT))
    script.when(lookup(query(script), DROP), then=[])
    script.when(punt(SHOUT))
    assert query(script).dst == BROADCAST


# -- time --------------------------------------------------------------------------------------


def waiting_for_a_lookup() -> tuple[Script, Query, LookupsAnswered]:
    script = Script().when(punt(SHOUT))
    asked = query(script)
    return script.when(lookup(asked, DEFERRED)), asked, lookup(asked, target(2))


def waiting_for_a_neighbour() -> tuple[Script, NeighbourQuestion, NeighboursAnswered]:
    script, who = asking(arp_request())
    return script.when(neighbour(who, DEFERRED)), who, neighbour(who, HOLDER)


def waiting_for_a_server() -> tuple[Script, Query, DhcpAnswered]:
    script = Script().when(punt(dhcp(dhcpv4.Operation.REQUEST, ASKER)))
    script.when(lookup(query(script), PROXY_DHCP))
    asked = dhcp_query(script)
    return script.when(dhcp_server(asked, DEFERRED)), asked, dhcp_server(asked, SERVER)


STAGES = pytest.mark.parametrize(
    "begin", [waiting_for_a_lookup, waiting_for_a_neighbour, waiting_for_a_server]
)


@STAGES
def test_a_frame_waits_no_longer_than_the_time_out(begin: Any) -> None:
    script, asked, _ = begin()
    script.when(DeadlinePassed(), then=[], after=4.9)
    assert script.engine.next_deadline() == pytest.approx(script.now + 0.1)
    script.when(
        DeadlinePassed(),
        then=[ReportFault(OVERLAY, f"no answer to {describe(asked)}")],
        after=0.2,
    )
    assert script.count("dropped.timeout") == script.count("overdue") == 1
    proxied = [name for name in script.engine.counters(OVERLAY) if name.startswith("proxied.")]
    assert [name.rpartition(".")[2] for name in proxied] == (
        [] if begin is waiting_for_a_lookup else ["timeout"]
    )
    assert script.engine.waiting(OVERLAY) == 0


def test_a_frame_that_joins_does_not_make_those_before_it_wait_longer() -> None:
    script, _, _ = waiting_for_a_lookup()
    script.when(punt(SHOUT), then=[], after=4)
    script.when(DeadlinePassed(), after=1)
    assert script.count("dropped.timeout") == 2


@STAGES
def test_an_answer_after_the_time_out_finds_nobody_waiting(begin: Any) -> None:
    script, _, answer = begin()
    script.when(DeadlinePassed(), after=5.1)
    script.when(answer, then=[])
    assert nothing_is_left(script)


@STAGES
def test_a_question_is_given_up_after_half_a_minute(begin: Any) -> None:
    script, asked, answer = begin()
    script.when(DeadlinePassed(), after=5.1)
    script.when(DeadlinePassed(), then=[CancelQuestions(OVERLAY, [asked])], after=GIVE_UP - 5.0)
    failed = structs.replace(answer, answers=[Failed("cancelled")])
    script.when(failed, then=[])
    assert nothing_is_left(script)


def test_a_frame_that_joins_an_overdue_question_is_answered_by_its_late_answer() -> None:
    script, _, answer = waiting_for_a_neighbour()
    script.when(DeadlinePassed(), after=5.1)
    late = arp_request(OTHER)
    script.when(punt(late), after=2)
    script.when(lookup(query(script), PROXY_ARP), then=[])
    script.when(answer)
    script.when(lookup(query(script), target(2)))
    assert replying(script) == [arp_reply(late)]


def test_a_frame_that_joins_an_overdue_question_has_a_time_out_of_its_own() -> None:
    script, _, _ = waiting_for_a_lookup()
    script.when(DeadlinePassed(), after=5.1)
    script.when(punt(SHOUT), then=[], after=2)
    script.when(DeadlinePassed(), then=[], after=4.9)
    script.when(DeadlinePassed(), after=0.2)
    assert isinstance(script.asked(ReportFault), ReportFault)
    assert script.count("dropped.timeout") == 2


def test_a_log_says_what_was_asked() -> None:
    assert describe(NeighbourQuestion(IP6_HOLDER)) == "who has 2001:db8::5"
    assert describe(Query(bytes(HOLDER), 42)) == "where 02:00:00:00:00:05 is"


# -- bounds ------------------------------------------------------------------------------------


def test_frames_that_wait_for_one_answer_are_bounded() -> None:
    script, who = asking(arp_request(), **limited(waiting_mac=2 * len(arp_request())))
    script.when(neighbour(who, DEFERRED))
    script.when(punt(*(arp_request(mac(20 + n)) for n in range(3))))
    script.when(LookupsAnswered(OVERLAY, queries(script), [PROXY_ARP] * 3), then=[])
    assert script.count("dropped.waiting-mac") == 2
    assert script.engine.waiting(OVERLAY) == 2 * len(arp_request())


def test_the_same_frame_over_and_over_waits_up_to_a_bound() -> None:
    script = Script(**limited(waiting_mac=2 * len(SHOUT)))
    script.when(punt(*[SHOUT] * 5))
    assert script.count("dropped.waiting-mac") == 3
    script.when(lookup(query(script), target(2)), then=[Resend(OVERLAY, target(2), [SHOUT] * 2)])


def test_frames_that_wait_in_an_overlay_are_bounded() -> None:
    shouts = [packet(BROADCAST, mac(20 + n)) for n in range(5)]
    script = Script(**limited(waiting=3 * len(SHOUT))).when(punt(*shouts))
    assert len(queries(script)) == 3
    assert script.count("dropped.waiting-overlay") == 2
    script.when(LookupsAnswered(OVERLAY, queries(script), [target(2)] * 3))
    assert nothing_is_left(script)


def test_lookups_in_progress_are_bounded() -> None:
    shouts = [packet(BROADCAST, mac(20 + n)) for n in range(5)]
    script = Script(**limited(lookups=3)).when(punt(*shouts))
    asked = queries(script)
    assert len(asked) == 3
    script.when(LookupsAnswered(OVERLAY, asked, [DEFERRED] * 3), then=[])
    script.when(punt(packet(BROADCAST, mac(30))), then=[])
    assert script.count("dropped.lookups") == 3
    script.when(LookupsAnswered(OVERLAY, asked, [target(2)] * 3))
    assert nothing_is_left(script)


def test_addresses_asked_for_at_once_are_bounded_with_the_lookups() -> None:
    script = Script(**limited(lookups=3))
    asked = [arp_request(address=IPv4Address(f"10.0.0.{n}")) for n in range(20, 23)]
    script.when(punt(*asked))
    first = queries(script)
    script.when(LookupsAnswered(OVERLAY, first, [DEFERRED] * 3), then=[])
    script.when(lookup(first[0], PROXY_ARP))
    who = question(script)
    script.when(punt(packet(BROADCAST, OTHER)), then=[])
    assert script.count("dropped.lookups") == 1
    script.when(neighbour(who, DROP), then=[])
    script.when(LookupsAnswered(OVERLAY, first[1:], [DROP] * 2), then=[])
    assert nothing_is_left(script)


def test_a_client_is_not_passed_on_when_too_many_questions_are_in_progress() -> None:
    script = Script(**limited(lookups=1)).when(punt(dhcp(dhcpv4.Operation.REQUEST, ASKER)))
    first = query(script)
    script.when(lookup(first, DEFERRED))
    script.when(lookup(first, PROXY_DHCP))
    other = dhcp_query(script)
    script.when(dhcp_server(other, DEFERRED))
    script.when(punt(dhcp(dhcpv4.Operation.REQUEST, OTHER)), then=[])
    assert script.count("dropped.lookups") == 1


# -- the instance ------------------------------------------------------------------------------


@STAGES
def test_a_stop_drops_what_waits_and_answers_that_come_then_do_not_count(begin: Any) -> None:
    script, _, answer = begin()
    script.when(InstanceStopped(OVERLAY), then=[])
    assert script.count("dropped.no-instance") == 1
    assert script.engine.waiting(OVERLAY) == 0
    script.when(answer, then=[])
    assert script.count("ignored.late") == 1
    script.when(InstanceStarted(OVERLAY), then=[])
    assert nothing_is_left(script)


def test_the_next_instance_is_asked_again_and_the_old_answer_is_not_taken() -> None:
    script, old, answer = waiting_for_a_lookup()
    script.when(InstanceStopped(OVERLAY)).when(InstanceStarted(OVERLAY))
    script.when(punt(SHOUT))
    new = query(script)
    assert new is not old
    script.when(answer, then=[])
    script.when(lookup(new, target(3)), then=[Resend(OVERLAY, target(3), [SHOUT])])


def test_without_an_instance_questions_are_dropped() -> None:
    script = Script().when(InstanceStopped(OVERLAY))
    script.when(punt(SHOUT, arp_request(), solicitation()), then=[])
    assert script.count("dropped.no-instance") == 3
