"""What `save` may return: a JSON object that comes back from a file as it went."""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from varpd.provider.plugin import State

MAX_STATE: Final = 1 << 20
"""Bytes of a saved state as JSON; protects the store from a plugin that saves all that it knows."""


def check_state(value: object) -> State:
    """Return a copy of `value` as it will be when it comes back from a file.

    Raises:
        TypeError: it is no JSON object, or something in it is not JSON.
        ValueError: it is larger than `MAX_STATE`, or JSON changes something in it.
    """
    if not _is_mapping(value):
        raise TypeError(f"save returned {type(value).__name__}, not a JSON object")
    given = dict(value)
    text = json.dumps(given, allow_nan=False, ensure_ascii=False)
    size = len(text.encode())
    if size > MAX_STATE:
        raise ValueError(f"save returned {size} bytes of JSON, more than {MAX_STATE}")
    state: State = json.loads(text)
    if state != given:
        raise ValueError("save returned what JSON cannot hold as it is, such as a tuple")
    return state


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)
