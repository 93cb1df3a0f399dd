"""Explanations as JSON."""

import msgspec

from varpd.control.explanation import Explanation, KnownAddressInfo, MacExplanation, WantedInfo


def test_an_explanation_survives_the_way_as_json() -> None:
    wanted = WantedInfo("absent", None, (), False, None, None, False)
    mac = MacExplanation("02:00:00:00:00:01", "known", True, (), wanted, False, 0, 0, (), (), ())
    known = KnownAddressInfo("02:00:00:00:00:01", "asked", 0.0, "the plugin says so")
    made = Explanation("web0", "10.0.0.1", "files", "known", (known,), (mac,))
    assert msgspec.json.decode(msgspec.json.encode(made), type=Explanation) == made
