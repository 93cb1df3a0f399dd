"""How plugins answer, and how fast: counted once a batch for what they answer plainly."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from varpd.engine.events import Deferred, Failed
from varpd.engine.histogram import Histogram
from varpd.provider.answers import Drop, Proxy, Replicate, Target
from varpd.provider.judge import Operation

TARGET: Final = "target"
FAILED: Final = "failed"
GIVEN_UP: Final = "given-up"

RESULTS: Final = {
    TARGET: "where the frame goes",
    "replicate": "several targets",
    "drop": "it knows of none",
    "proxy": "varpd is to answer the frame itself",
    "found": "the MAC that was asked for, by `arp` or `dhcp`",
    FAILED: "it raised something, or answered what is no answer",
    GIVEN_UP: "no answer in half a minute",
}
"""Results that answers are counted by, and what they mean."""


class Meter:
    """What one instance answered, or all instances of one plugin together."""

    def __init__(self, together: "Meter | None" = None) -> None:
        """Begin with nothing; what is counted here is counted `together`, too."""
        self.answers: Counter[tuple[str, str]] = Counter()
        """Final answers by operation and result."""

        self.lookups = Histogram()
        """Seconds from asking where a frame goes to the answer. What is answered plainly is there
        when its whole batch is."""

        self._together = together

    def answered(
        self, operation: Operation, targets: int, others: Iterable[object], seconds: float
    ) -> None:
        """Count answers that came after `seconds`: a number of targets, and others of any kind."""
        results = [result_of(answer) for answer in others if not isinstance(answer, Deferred)]
        count = targets + len(results)
        meter: Meter | None = self
        while count and meter is not None:
            if targets:
                meter.answers[operation.value, TARGET] += targets
            for result in results:
                meter.answers[operation.value, result] += 1
            if operation is Operation.LOOKUP:
                meter.lookups.observe(seconds, count)
            meter = meter._together

    def unanswered(self, operation: Operation, result: str) -> None:
        """Count a question to which there is no answer whose time would mean anything."""
        meter: Meter | None = self
        while meter is not None:
            meter.answers[operation.value, result] += 1
            meter = meter._together


class Meters:
    """The meters of all plugins, which outlive their instances."""

    def __init__(self) -> None:
        """Begin with none."""
        self.plugins: dict[str, Meter] = {}
        """By the plugin's name."""

    def of_instance(self, plugin: str) -> Meter:
        """Return a new meter for an instance of a plugin."""
        return Meter(self.plugins.setdefault(plugin, Meter()))


def result_of(answer: object) -> str:
    """Return the result that a final answer is counted by."""
    match answer:
        case Target():
            return TARGET
        case Replicate():
            return "replicate"
        case Drop():
            return "drop"
        case Proxy():
            return "proxy"
        case Failed():
            return FAILED
        case _:
            return "found"
