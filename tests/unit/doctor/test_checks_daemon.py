"""Is the daemon there?"""

import pytest

from support import stories
from varpd.control.messages import ErrorCode, RefusalInfo
from varpd.doctor import checks_daemon
from varpd.doctor.findings import Severity


def test_a_daemon_that_does_not_answer_is_a_problem_and_how_to_start_it() -> None:
    facts = stories.facts(
        diagnosis=None,
        daemon_error="no daemon: /run/varpd/varpd.sock does not exist",
        daemon_error_code=ErrorCode.UNREACHABLE,
    )
    (found,) = checks_daemon.check(facts)
    assert (found.check, found.severity) == ("daemon", Severity.PROBLEM)
    assert "does not exist" in found.message
    assert found.cure is not None
    assert "systemctl start varpd" in found.cure


@pytest.mark.parametrize(
    ("code", "cure"),
    [(ErrorCode.FORBIDDEN, "as root"), (ErrorCode.NOT_FOUND, "restart it")],
)
def test_who_may_not_ask_and_who_asks_an_old_daemon_is_told_so(code: ErrorCode, cure: str) -> None:
    facts = stories.facts(diagnosis=None, daemon_error="no", daemon_error_code=code)
    (found,) = checks_daemon.answers(facts)
    assert found.cure is not None
    assert cure in found.cure


def test_a_daemon_that_starts_is_not_ready() -> None:
    facts = stories.facts(diagnosis=stories.diagnosis(ready=False, detail="varpd starts"))
    (found,) = checks_daemon.answers(facts)
    assert found.severity is Severity.WARNING
    assert "varpd starts" in found.message


def test_another_version_is_told() -> None:
    (found,) = checks_daemon.version(stories.facts(version="9.9"))
    assert found.severity is Severity.WARNING
    assert "9.9" in found.message
    assert stories.VERSION in found.message


def test_a_daemon_in_another_network_namespace_is_told_with_how_to_go_there() -> None:
    facts = stories.facts(diagnosis=stories.diagnosis(namespace="net:[1]"))
    (found,) = checks_daemon.namespace(facts)
    assert found.cure is not None
    assert "nsenter --target 99 --net" in found.cure


@pytest.mark.parametrize(
    ("bits", "missing"),
    [
        (1 << 12, "lacks CAP_NET_BIND_SERVICE"),
        (1 << 10, "lacks CAP_NET_ADMIN"),
        (0, "lacks CAP_NET_ADMIN and CAP_NET_BIND_SERVICE"),
    ],
)
def test_a_missing_capability_is_named(bits: int, missing: str) -> None:
    facts = stories.facts(diagnosis=stories.diagnosis(capabilities=bits))
    (found,) = checks_daemon.capabilities(facts)
    assert found.severity is Severity.PROBLEM
    assert missing in found.message


def test_a_daemon_without_a_kernel_needs_no_capability() -> None:
    facts = stories.facts(diagnosis=stories.diagnosis(capabilities=0, datapath="memory"))
    assert checks_daemon.capabilities(facts) == []


def test_each_refused_plugin_is_named() -> None:
    refused = (
        RefusalInfo("a.py:1", "bad-name", "no name"),
        RefusalInfo("b.py:1", "import-error", "no module named c"),
    )
    facts = stories.facts(diagnosis=stories.diagnosis(refused=refused))
    found = checks_daemon.plugins(facts)
    assert [item.severity for item in found] == [Severity.WARNING] * 2
    assert "b.py:1" in found[1].message
    assert "no module named c" in found[1].message
