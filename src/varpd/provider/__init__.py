"""The plugin API: everything that the author of a search plugin imports, and the contract.

What a plugin is
================

The kernel forwards the frames of an overlay. When it has no row for a frame's destination MAC
address, it hands the frame to varpd, and varpd asks the overlay's *search plugin* where it goes.
The plugin answers with a *target*, an address in the underlay; varpd writes it into the kernel
and sends the frame on. From then on the kernel forwards alone, until the plugin says otherwise.

A plugin is a class derived from one of two base classes:

`PointPlugin`      one target for everything, broadcast included; defines `default`
`DynamicPlugin`    a target for each destination MAC; defines `lookup`

An object of the class is an *instance*: the plugin at work for one overlay. What follows fits
into this example, whole and working:

    from varpd.provider import (
        DROP, DestinationKind, DynamicPlugin, Property, PropertyType, Target
    )

    class RackPlugin(DynamicPlugin):
        api_version = 1
        name = "rack"
        supplies = (DestinationKind.IP | DestinationKind.PORT,)

        @classmethod
        def properties(cls, destination):
            return (Property("rack/spine", PropertyType.IP, required=True),)

        def lookup(self, query):
            if query.dst.is_group:
                return DROP
            return Target(ip=self.get_property("rack/spine"), port=4789)

Registration
============

varpd finds plugins, in this order: its own; those of installed distributions that name them in
the entry-point group ``varpd.plugins``; and those in its plugin directories, ``*.py`` files that
do not begin with ``_``. A directory or a file that others than root and the daemon's user may
write is refused. A refused class does not stop the others; ``overlayadm plugins`` shows each
refusal:

`import-error`       the module cannot be imported, or others may write it
`bad-version`        ``api_version = 1`` is not in the class's own body, or has another number
`bad-name`           ``name`` is not ``[a-z][a-z0-9_-]{0,30}``, or is ``varpd`` or an encapsulation,
                     one that this version cannot use (``nvgre``, ``geneve``) included
`duplicate-name`     an earlier plugin has the name
`wrong-mode`         derived from neither or both base classes, or with operations of the other
                     mode: ``default`` here, ``lookup``, ``arp``, ``dhcp``, ``enumerate`` there
`missing-operation`  an operation is missing, or cannot be called
`bad-property`       `properties`, ``blocking``, ``ttl`` or ``supplies`` breaks the rules below

A plugin is never unloaded, and its code never reloaded while varpd runs.

Destination kinds
=================

An encapsulation says what it needs to know of a destination, as `DestinationKind` flags: VXLAN
``IP | PORT``, NVGRE ``IP``. The constructor is given them, and refuses with `Unsupported`, naming
both sides, what the plugin cannot supply; the class attribute ``supplies``, a tuple of the
combinations that it can, makes the base class do so. A target must have exactly the fields of
these kinds, else it is a fault. `check_target` is the check that is applied everywhere; it refuses
addresses that cannot be one host's, and those of another family than the overlay's listen address.

Life of an instance
===================

    constructor or restore -> set_property ... -> start -> operations -> stop -> close

`__init__(host, destination)`   no input or output, no waiting; an override calls the base class.
`restore(state, host, destination)`  takes its place where an earlier `save` left a state.
`start`   async. Verifies that the required properties are set (`PropertyMissing` names every one)
          and begins. One that raises, or takes longer than ``start_timeout`` (30 s), is followed
          by `close` and not by `stop`; a retry makes a new instance.
`stop`    async. Comes once for each `start` that returned, and has 5 s. The reason says whether
          to withdraw what was published: only on `StopReason.DELETED`.
`close`   comes once for each instance that was made, whatever happened before.

Operations
==========

Between `start` and `stop`; the answers are in `varpd.provider.answers`.

`default() -> Target | Drop`
    POINT. Plain. Asked after `start` and after each accepted `set_property`. `DROP` at the
    creation of the overlay refuses it; later the old target stays and the overlay is degraded.

`lookup(query) -> Target | Drop | Proxy | Replicate`
    DYNAMIC. Where does this frame go? `Target`: to that host, now and from then on. `DROP`:
    nowhere, and frames alike are held off for a second; ``Drop(hold=0)``: only this frame.
    `PROXY_ARP`, `PROXY_NDP`, `PROXY_DHCP`: varpd answers it, see `arp` and `dhcp`.
    ``Replicate.to(a, b)``: to each of them but this host. A frame that the plugin does not know
    about is `DROP`, which is no fault. ARP, neighbour discovery, DHCP and broadcast frames are
    each their own question; for any other MAC the answer holds for ``ttl`` seconds (a class
    attribute), or until invalidated. A query with cause `REFRESH` has no frame; only a `Target`
    or `DROP` answers it, and for a group MAC `Replicate`.

`arp(address) -> MacAddress | Neighbour | Drop`
    DYNAMIC, optional. Who has this overlay address, IPv4 or IPv6? Asked after `lookup` answered
    `PROXY_ARP` or `PROXY_NDP`. ``Neighbour(mac, router=True)`` is the answer for an IPv6 router.
    varpd has validated the request, and builds the reply.

`dhcp(query) -> MacAddress | Drop`
    DYNAMIC, optional. Which MAC is the DHCP server for this frame? Asked after `PROXY_DHCP`.

`enumerate() -> Iterable[tuple[MAC, Target]]`
    DYNAMIC, optional. All that is known; asked if the overlay's ``preload`` is on.

`reload()`
    Optional, async. Read the data behind the plugin again.

`local_endpoint(endpoint, present)`
    Optional, plain or awaitable. Called when an endpoint of the overlay is on this host or is so
    no longer. An endpoint is a guest's port that is on the overlay's bridge and of which an
    operator said the MAC (``overlayadm port``), and perhaps addresses. Each is told after `start`,
    and again after each change. `Claimed` is the answer that another host has the MAC or an
    address: no fault; the port is shown as in conflict, and told again every 30 s. With
    ``endpoint.takeover`` the guest has moved here, and the other host has to give it up; the
    instance there says so with `Host.endpoint_taken`. At a `stop` nothing is withdrawn one by one.

`save() -> dict`
    Optional, plain. See "Save and restore".

How to answer
=============

Returning is replying: each question gets exactly one answer. `lookup`, `arp` and `dhcp` may

- return the answer: the cheap way, for what is in memory;
- be ``async def``, or return any awaitable of the running loop: it runs in an asyncio Task of its
  own, and may use time-outs, task groups and libraries. A future of another loop is a fault;
- return a `concurrent.futures.Future`, for work in threads. varpd never cancels it, and throws
  away what it brings too late.

A question that is not answered within ``lookup_timeout`` (5 s) counts as a fault and its frame is
dropped; the work goes on for up to 30 s, and a good answer in that time is still used.

Nothing may block the event loop: no sleeps, no files, no name resolution, no synchronous network,
no long computation. A plugin that must block says ``blocking = True``: its plain operations are
then called in worker threads, at most 8 at once for an instance. Its async ones (`start`, `stop`,
`reload`) still run on the loop.

Properties
==========

`properties(destination)` declares what an operator can set, in a fixed order; names begin with
``<plugin>/``. From the declaration varpd shows, parses and checks: a value that reaches
`set_property` has the type and is one of those possible. An override refuses what the declaration
cannot say with `PropertyInvalid`, *before* it changes anything, and then calls the base class,
which keeps the values. `set_property` comes in any state from creation to the end, beside any
other operation; ``None`` goes back to the default. After `start` varpd itself refuses (`NotLive`)
properties that are not declared ``live``. `get_property` returns the value, else the default, else
None. Values belong to the instance.

A password or a key is declared ``secret``: varpd shows ``***`` in its place, in `show`, in errors
and in reports. What a plugin itself writes into messages, the log and its saved state is its own
business.

Save and restore
================

`save` returns a JSON object of at most 1 MiB: whatever the instance needs to go on after varpd
was restarted or has crashed. It is called after `start` and before the creation is acknowledged,
after each accepted `set_property`, after `Host.save_soon`, and at a clean end before `stop`.
`restore` gets only what an earlier `save` of the same plugin returned, perhaps of an older
version of it: put a version number in. The base class saves and restores the properties that are
set; then varpd sets those whose stored value differs, and calls `start`. The last good state stays
where `save` fails.

The host
========

`self.host` is the way to varpd: names and numbers of the overlay, a log, and what a plugin may say
unasked: `set_target`, `invalidate`, `inject_arp`, `endpoint_taken`, `degrade`, `restore`, `panic`,
`save_soon`, `start_task`, `shared`. Each may be called from any thread and inside any operation.
See `Host`.

Guarantees
==========

1. `lookup`, `default`, `arp`, `dhcp`, `save` and the optional operations are never called before
   `start` has returned, nor after `stop` was called. Questions that are open at the stop are
   dropped, their Tasks cancelled.
2. Instances are independent. Operations of different instances, and of one, properties and `save`
   included, may be in progress together: on the loop, wherever one awaits; with ``blocking``,
   truly at once. The plugin does its own locking.
3. A plugin's fault stays the plugin's; other overlays never notice. What cannot be prevented is a
   plugin that blocks the event loop: a watchdog sees it after 1 s and logs the culprit's stack;
   what the kernel already knows goes on.
4. An answer that was asked for before an `invalidate`, a `set_target`, or an operator's change of
   the same MAC is never put into force after it.
5. A property is validated before it is set; a refused value changes nothing; several that are set
   by one command are set all or none.
6. What one thread says through `host` takes effect in that order, and before any answer that the
   same thread gives afterwards: ``set_target(mac, target)`` and then returning ``mac`` from `arp`
   means that the row is in the kernel before the guest hears the reply.

Faults
======

An exception that leaves an operation (but for `ProviderError` from the constructor, `restore`,
`set_property` and `start`, and `Claimed` from `local_endpoint`, which are answers to the operator),
a wrong type of answer, a target that does not fit, a proxy answer without the operation behind it,
a time-out, a state that is no JSON object or too large, and blocking the loop. The frame is
dropped, the fault counted and logged, the overlay degraded until ten seconds have passed without
another and an operation has succeeded. `Host.degrade` is for the plugin's own troubles, such as a
server that does not answer. `Host.panic` ends the instance where it cannot go on: it is stopped
with `StopReason.FAULT`, closed, and restored from the last saved state after 1 to 32 seconds.

`varpd.provider.testing` has a fake host, and a conformance suite that checks the plugin's half of
all this with one line in a test file.
"""

from varpd.net.addresses import IpAddress, MacAddress
from varpd.provider.answers import (
    DROP,
    PROXY_ARP,
    PROXY_DHCP,
    PROXY_NDP,
    Answer,
    DhcpAnswer,
    Drop,
    Neighbour,
    NeighbourAnswer,
    Proxy,
    Replicate,
    Target,
)
from varpd.provider.errors import (
    Claimed,
    NotLive,
    Panic,
    PropertyError,
    PropertyInvalid,
    PropertyMissing,
    PropertyUnknown,
    ProviderError,
    TargetInvalid,
    Unsupported,
)
from varpd.provider.host import Closable, Host, Logger
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import (
    API_VERSION,
    DynamicPlugin,
    Endpoint,
    Later,
    Plugin,
    PointPlugin,
    State,
    StopReason,
)
from varpd.provider.properties import Property, PropertyType, Protection, Range, Value
from varpd.provider.query import FRAME, REFRESH, Cause, Query
from varpd.provider.targets import check_address, check_target

__all__ = [
    "API_VERSION",
    "DROP",
    "FRAME",
    "PROXY_ARP",
    "PROXY_DHCP",
    "PROXY_NDP",
    "REFRESH",
    "Answer",
    "Cause",
    "Claimed",
    "Closable",
    "DestinationKind",
    "DhcpAnswer",
    "Drop",
    "DynamicPlugin",
    "Endpoint",
    "Host",
    "IpAddress",
    "Later",
    "Logger",
    "MacAddress",
    "Neighbour",
    "NeighbourAnswer",
    "NotLive",
    "Panic",
    "Plugin",
    "PointPlugin",
    "Property",
    "PropertyError",
    "PropertyInvalid",
    "PropertyMissing",
    "PropertyType",
    "PropertyUnknown",
    "Protection",
    "ProviderError",
    "Proxy",
    "Query",
    "Range",
    "Replicate",
    "State",
    "StopReason",
    "Target",
    "TargetInvalid",
    "Unsupported",
    "Value",
    "check_address",
    "check_target",
]
