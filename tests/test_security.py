"""SECURITY.md names a test for each claim, and each of these is there."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
INTEGRATION: Final = ROOT / "tests" / "integration"
TEXT: Final = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ROWS: Final = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| cannot")
]
"""Each claim of a table, and what it names as its test."""

NAMED: Final = re.compile(r"`([\w./]+)`(?:: ([^`;]+))?")


def place_of(name: str) -> Path:
    """Return where a test is that is named so."""
    return ROOT / name if name.startswith("tests/") else INTEGRATION / name


def test_each_claim_names_a_test_that_is_there() -> None:
    assert len(ROWS) > 15
    for claim, tests in ROWS:
        found = NAMED.findall(tests)
        assert found, claim
        for name, sentence in found:
            place = place_of(name)
            assert place.exists(), (claim, name)
            if sentence:
                words = "_".join(re.findall(r"\w+", sentence.replace("'", "")))
                assert f"def test_{words}(" in place.read_text(encoding="utf-8"), (claim, words)


def test_other_tests_that_are_named_are_there() -> None:
    names = re.findall(r"`([\w./]*test_\w+\.py)`", TEXT)
    assert len(names) > 20
    for name in names:
        assert place_of(name).exists(), name
