"""What a plugin author tests with: a fake host, and the plugin's half of the contract as a suite.

The suite is one line in a test file; pytest runs it, without root and without plugins of its own:

    TestMine = conformance(
        MyPlugin,
        values={"mine/server": "db.example"},
        answers=[("02:00:00:00:00:01", Target(ip=IPv4Address("192.0.2.1"), port=4789))],
    )

or, where a fixture prepares something, a class:

    class TestMine(PluginConformance):
        plugin = MyPlugin

        @pytest.fixture(autouse=True)
        def table(self, tmp_path):
            (tmp_path / "table").write_text("...")
            self.values = {"mine/table": str(tmp_path / "table")}

It checks that the plugin registers; refuses kinds that it cannot supply; names every missing
property at `start`; that a refused value changes nothing, and instances share no values; that
answers are of the right type and kinds and as the author says, also when many are asked at once,
and DROP for what is not known; that nothing blocks the event loop (where the package
``blockbuster`` is installed, down to each call that might); that it survives questions open at
`stop`, `stop` without any, and `close` without `start`; that no task and no thread is left; and
that ``restore(save())`` gives the same properties and answers.

For tests of one's own there are `FakeHost`, which keeps what an instance says, and `FakeGuard`,
which calls an instance as varpd does and notes its faults.
"""

from varpd.provider.testing.case import UNKNOWN, Case, Question
from varpd.provider.testing.frames import frame_query, refresh_query
from varpd.provider.testing.guard import FakeGuard
from varpd.provider.testing.host import (
    Announced,
    Degraded,
    FakeHost,
    FakeLog,
    Invalidated,
    Panicked,
    Restored,
    Said,
    SaveAsked,
    TargetSet,
)
from varpd.provider.testing.suite import PluginConformance, conformance

__all__ = [
    "UNKNOWN",
    "Announced",
    "Case",
    "Degraded",
    "FakeGuard",
    "FakeHost",
    "FakeLog",
    "Invalidated",
    "Panicked",
    "PluginConformance",
    "Question",
    "Restored",
    "Said",
    "SaveAsked",
    "TargetSet",
    "conformance",
    "frame_query",
    "refresh_query",
]
