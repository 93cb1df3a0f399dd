"""Every refusal is one sentence that says what to do."""

import errno
import os

import pytest

from support.linux_host import make_link
from varpd.datapath.base import DatapathError, DatapathErrorCode
from varpd.datapath.linux import names, refusals

LINK = make_link()
ADDRESS = names.punt_address(LINK)


@pytest.mark.parametrize(
    ("error", "code", "advice"),
    [
        (
            refusals.foreign_link("blue", "vx-blue", "vlan", ""),
            DatapathErrorCode.NAME_TAKEN,
            "ip link delete vx-blue",
        ),
        (refusals.no_such_address(LINK), DatapathErrorCode.NO_SUCH_ADDRESS, "ip address"),
        (refusals.address_in_vrf(LINK, "eth1", "red"), DatapathErrorCode.UNSUPPORTED, "VRF red"),
        (refusals.no_localbypass(), DatapathErrorCode.UNSUPPORTED, "needs Linux 6.5 or newer: "),
        (refusals.vnetid_taken(LINK, "vx9"), DatapathErrorCode.VNETID_TAKEN, "vx9"),
        (refusals.vnetid_taken(LINK, None), DatapathErrorCode.VNETID_TAKEN, "another device"),
        (refusals.port_in_use(LINK), DatapathErrorCode.PORT_IN_USE, "ss -lunp 'sport = 4789'"),
        (
            refusals.punt_port_in_use(LINK, ADDRESS),
            DatapathErrorCode.PORT_IN_USE,
            "ss -lunp 'sport = 789'",
        ),
        (
            refusals.no_loopback(LINK, ADDRESS),
            DatapathErrorCode.PUNT_PATH_CLOSED,
            "ip link set lo up",
        ),
        (
            refusals.punt_path_closed(LINK, ADDRESS),
            DatapathErrorCode.PUNT_PATH_CLOSED,
            "nft list ruleset",
        ),
    ],
)
def test_a_refusal_has_its_code_and_its_advice(
    error: DatapathError, code: DatapathErrorCode, advice: str
) -> None:
    assert error.code is code
    assert advice in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EPERM, DatapathErrorCode.PERMISSION),
        (errno.EACCES, DatapathErrorCode.PERMISSION),
        (errno.EOPNOTSUPP, DatapathErrorCode.UNSUPPORTED),
        (errno.ENOMEM, DatapathErrorCode.FAILED),
    ],
)
def test_what_the_kernel_says_is_passed_on(number: int, code: DatapathErrorCode) -> None:
    error = refusals.refused("blue", "dance", OSError(number, os.strerror(number)))
    assert error.code is code
    assert os.strerror(number) in str(error)
    assert "dance" in str(error)
