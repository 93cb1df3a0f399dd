"""``overlayadm delete``."""

from collections.abc import Callable

from click.testing import Result

from support.fake_service import FakeService

Run = Callable[..., Result]


def test_an_overlay_is_removed_in_silence(run: Run, service: FakeService) -> None:
    service.add("web0")
    service.add("web1")
    result = run("delete", "web0")
    assert (result.exit_code, result.output) == (0, "")
    assert list(service.table) == ["web1"]


def test_an_overlay_that_is_not_there_is_an_error(run: Run) -> None:
    result = run("delete", "web0")
    assert (result.exit_code, result.stderr) == (1, "overlayadm: there is no overlay 'web0'\n")


def test_no_name_is_status_2(run: Run) -> None:
    assert run("delete").exit_code == 2


def test_no_name_at_all_deletes_nothing(run: Run, service: FakeService) -> None:
    service.add("web0")
    assert run("delete", "").exit_code == 1
    assert list(service.table) == ["web0"]
