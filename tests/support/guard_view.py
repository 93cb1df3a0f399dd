"""What is seen of the guard's work from outside: what its rules have dropped."""

import json

from support.lab import Host


def mac_of(host: Host, device: str) -> str:
    """Return the MAC of a host's interface."""
    found = json.loads(host.run("ip", "-json", "link", "show", "dev", device).stdout)
    return str(found[0]["address"])


def dropped(host: Host, chain: str) -> int:
    """Return how many packets the rules of a chain of the guard have dropped."""
    total = 0
    for item in json.loads(host.run("nft", "-j", "list", "ruleset").stdout)["nftables"]:
        rule = item.get("rule")
        if rule is not None and (rule["table"], rule["chain"]) == ("varpd", chain):
            steps = rule["expr"]
            if {"drop": None} in steps:
                total += sum(s["counter"]["packets"] for s in steps if "counter" in s)
    return total
