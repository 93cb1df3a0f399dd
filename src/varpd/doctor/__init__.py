"""Finding out what is wrong with overlays on this host, and what to do about it.

First facts are gathered (`facts`): what the daemon tells over its socket, and what the host shows
(`host`, `system`, `ruleset`, `peers`, `managers`), which needs no daemon. Then each group of checks
(`checks_*`) is asked for its findings; a check is a plain function over the facts and does nothing
else, so the two halves are tried apart. Nothing is changed on the host; what is sent are probes to
the peers that the operator names, and, by the daemon, one frame the way of punted frames of each
overlay.
"""
