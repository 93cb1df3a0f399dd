"""SVP, the protocol in which hosts of a Triton data centre ask its Portolan server.

    plugin        what varpd asks, and the properties
    remote        the servers behind one name, and the requests spread over them
    connection    one TCP connection with its session
    log           following the log of this host
    doubts        asking again when servers' caches have passed
    shootdown     what other hosts say
    memory        answers kept for a while; pure
    backoff       the pauses between tries; pure
    session       one connection: requests and their answers, time-outs, pings; pure
    wire          how a TCP stream carries messages; pure
    messages      ping, mappings, bulk, shootdown; pure
    log_messages  the log of what has changed; pure
    fields        what the messages share; pure

A message exists only when the wire can carry it; reading anything else raises `DecodeError`.
"""

from varpd.plugins.svp.plugin import SvpPlugin

__all__ = ["SvpPlugin"]
