"""What a test needs of the machine and does not find there."""

import os
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Skip the test; where everything has to be there (`CI`), fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
