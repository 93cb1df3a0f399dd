"""What was counted, as JSON."""

import msgspec

from support.fake_stats import STATS
from varpd.control.stats import OverlayStats


def test_it_goes_over_the_socket_and_back() -> None:
    assert msgspec.json.decode(msgspec.json.encode(STATS), type=OverlayStats) == STATS


def test_what_is_added_later_does_not_hurt_an_older_client() -> None:
    later = msgspec.json.decode(msgspec.json.encode(STATS)) | {"more": 1}
    assert msgspec.convert(later, OverlayStats) == STATS
