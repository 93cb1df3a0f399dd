"""What tests with the real kernel need: root and the system's network tools."""

import os
import shutil
from typing import Final

import pytest

from support.lacking import lacking

TOOLS: Final = (
    *("arping", "bridge", "curl", "dnsmasq", "ethtool", "ip", "iperf3", "nft", "nsenter", "ping"),
    *("setpriv", "socat", "tcpdump", "udhcpc", "unshare"),
)
"""Programs that these tests run."""


def missing() -> str | None:
    """Return what keeps these tests from running here, if anything does."""
    if os.geteuid() != 0:
        return "integration tests need root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"integration tests need {', '.join(absent)}" if absent else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip where something is missing; fail where everything has to be there."""
    if item.get_closest_marker("integration") is None or (reason := missing()) is None:
        return
    lacking(reason)
