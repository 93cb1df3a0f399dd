"""How plugins answer, and how fast: counted once a batch for what they answer plainly."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from varpd.engine.events import Deferred, Failed
from varpd.engine.histogram import Distribution, Histogram
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
    """What one instance answered."""

    def __init__(self, ended: Callable[["Meter"], None] | None = None) -> None:
        """Begin with nothing; `ended` is called at the end."""
        self.lookups = Histogram()
        """Seconds from asking where a frame goes to the answer. What is answered plainly is there
        when its whole batch is."""

        self._targets = 0
        self._others: Counter[tuple[str, str]] = Counter()
        self._ended = ended

    @property
    def answers(self) -> Counter[tuple[str, str]]:
        """Final answers by operation and result."""
        plain = {(Operation.LOOKUP.value, TARGET): self._targets} if self._targets else {}
        return self._others + Counter(plain)

    def plain(self, targets: int, seconds: float) -> None:
        """Count a batch of lookups that were all answered with targets after `seconds`."""
        self._targets += targets
        self.lookups.observe(seconds, targets)

    def answered(
        self, operation: Operation, targets: int, others: Iterable[object], seconds: float
    ) -> None:
        """Count answers that came after `seconds`: a number of targets, and others of any kind."""
        results = [result_of(answer) for answer in others if not isinstance(answer, Deferred)]
        if targets:
            self._others[operation.value, TARGET] += targets
        for result in results:
            self._others[operation.value, result] += 1
        if operation is Operation.LOOKUP and targets + len(results):
            self.lookups.observe(seconds, targets + len(results))

    def unanswered(self, operation: Operation, result: str) -> None:
        """Count a question to which there is no answer whose time would mean anything."""
        self._others[operation.value, result] += 1

    def end(self) -> None:
        """Count no more: what was counted is the plugin's from now on."""
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self)


class Total:
    """What all instances of one plugin answered, those that have ended included."""

    def __init__(self) -> None:
        """Begin without instances."""
        self._ended: Counter[tuple[str, str]] = Counter()
        self._ended_lookups = Distribution()
        self._meters: list[Meter] = []

    def open(self) -> Meter:
        """Return a new meter for an instance."""
        self._meters.append(Meter(self._retire))
        return self._meters[-1]

    @property
    def answers(self) -> Counter[tuple[str, str]]:
        """As of one instance."""
        return sum((meter.answers for meter in self._meters), self._ended)

    @property
    def lookups(self) -> Distribution:
        """As of one instance."""
        return sum((meter.lookups.distribution for meter in self._meters), self._ended_lookups)

    def _retire(self, meter: Meter) -> None:
        self._meters.remove(meter)
        self._ended += meter.answers
        self._ended_lookups += meter.lookups.distribution


class Meters:
    """What all plugins answered."""

    def __init__(self) -> None:
        """Begin with none."""
        self.plugins: dict[str, Total] = {}
        """By the plugin's name."""

    def of_instance(self, plugin: str) -> Meter:
        """Return a new meter for an instance of a plugin."""
        return self.plugins.setdefault(plugin, Total()).open()


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
