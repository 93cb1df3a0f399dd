"""SVP, the protocol in which hosts of a Triton data centre ask its Portolan server.

    session       one connection: requests and their answers, time-outs, pings; pure
    wire          how a TCP stream carries messages; pure
    messages      ping, mappings, bulk, shootdown; pure
    log_messages  the log of what has changed; pure
    fields        what the messages share; pure

A message exists only when the wire can carry it; reading anything else raises `DecodeError`.
"""
