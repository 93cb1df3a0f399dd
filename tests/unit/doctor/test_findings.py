"""What findings come to."""

from varpd.doctor.findings import Severity, is_wrong, ok, problem, warning


def test_only_a_problem_is_wrong() -> None:
    assert not is_wrong([ok("a", "fine"), warning("b", "odd", "look")])
    assert is_wrong([ok("a", "fine"), problem("b", "broken", "mend it")])


def test_only_what_is_in_order_has_no_cure() -> None:
    assert ok("a", "fine").cure is None
    assert warning("a", "odd", "look", "blue").cure == "look"
    assert problem("a", "broken", "mend it", "blue").severity is Severity.PROBLEM
