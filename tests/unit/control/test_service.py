"""What the daemon does for those who ask: all of it can be asked for."""

import inspect

from support.fake_service import FakeService
from varpd.control import routes
from varpd.control.service import Service


def test_every_operation_of_the_service_has_a_route() -> None:
    operations = {
        name for name, _ in inspect.getmembers(Service, inspect.isfunction) if name[0] != "_"
    }
    called = {name for route in routes.ROUTES for name in route.call.__code__.co_names}
    assert operations - called == set()


async def test_the_fake_is_a_service() -> None:
    service: Service = FakeService()
    assert await service.overlays([]) == []
