"""Tests of the README: what it shows is what there is."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
LINK: Final = re.compile(r"\]\(([^)#]+)\)")


def test_the_plugin_in_the_readme_is_the_tested_example() -> None:
    example = (ROOT / "examples" / "twenty_lines.py").read_text(encoding="utf-8")

    assert f"```python\n{example}```" in README


def test_what_the_readme_and_the_documents_link_to_is_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    missing = [
        f"{page.name}: {link}"
        for page in pages
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert missing == []


def test_the_readme_names_every_document() -> None:
    assert [
        page.name for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in README
    ] == []


def test_the_readme_says_in_ten_lines_what_it_is_about() -> None:
    first = README.split("## ")[0].splitlines()
    assert len([line for line in first if line and not line.startswith("#")]) <= 10
