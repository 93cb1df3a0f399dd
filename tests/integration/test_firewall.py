"""The firewall rules in docs/install.md are enough, and without the punt path nothing is made."""

import re
from pathlib import Path
from typing import Final, Literal

import pytest

from support.lab import Host, Lab

pytestmark = pytest.mark.integration

INSTALL: Final = Path(__file__).resolve().parents[2] / "docs" / "install.md"
RULE: Final = re.compile(r"`([^`]* accept)`")
UNDERLAY_RULES: Final = ("icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",)
"""What an underlay needs without varpd, too."""


def documented() -> list[str]:
    return RULE.findall(INSTALL.read_text(encoding="utf-8"))


def let_in_only(host: Host, rules: list[str]) -> None:
    """Have a host drop whatever comes in, also by `lo`, but for what rules accept."""
    host.run("nft", "flush", "ruleset")
    host.run("nft", "add", "table", "inet", "host")
    chain = "{ type filter hook input priority 0; policy drop; }"
    host.run("nft", "add", "chain", "inet", "host", "input", chain)
    for rule in (*UNDERLAY_RULES, *rules):
        host.run("nft", "add", "rule", "inet", "host", "input", rule)


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4-underlay", "ipv6-underlay"])
def test_the_documented_rules_are_enough(family: Literal[4, 6]) -> None:
    rules = documented()
    assert len(rules) == 4
    with Lab(family) as lab:
        a, b = lab.hosts("a", "b")
        for host in (a, b):
            let_in_only(host, rules)

        web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})

        for whom in (db.ipv4, db.ipv6):
            assert web.ping(whom, 5).lost == 0
        assert "ok       firewall: " in a.overlayadm("doctor").stdout


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4-underlay", "ipv6-underlay"])
def test_where_the_punt_path_is_closed_no_overlay_is_made(family: Literal[4, 6]) -> None:
    with Lab(family) as lab:
        (a,) = lab.hosts("a")
        let_in_only(a, [rule for rule in documented() if "789" not in rule.replace("4789", "")])
        file = lab.mapping_file("blue.json")
        before = a.run("ip", "-brief", "address").stdout

        refused = a.create("blue", 7, "files", f"files/config={file.path}", check=False)

        assert refused.returncode == 1
        assert "firewall" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert a.varpd.show() == []
        assert a.run("ip", "-brief", "address").stdout == before
