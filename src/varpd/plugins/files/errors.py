"""What is wrong with a mapping file, said so that whoever wrote it finds the place."""

from typing import Final

from varpd.provider import ProviderError

_SHOWN: Final = 60
"""Characters of a value that an error shows."""


class FilesError(ProviderError):
    """A mapping file that cannot be used; the text names file, line and what is wrong there."""

    def __init__(
        self, path: str, what: str, line: int | None = None, column: int | None = None
    ) -> None:
        """Take the file's `path`, `what` is wrong and, where known, line and column from 1."""
        self.path = path
        self.what = what
        self.line = line
        self.column = column
        super().__init__(path, what, line, column)

    @property
    def where_and_what(self) -> str:
        """Everything but the path: ``line 3, column 7: ...``."""
        if self.line is None:
            return self.what
        column = "" if self.column is None else f", column {self.column}"
        return f"line {self.line}{column}: {self.what}"

    def __str__(self) -> str:
        return f"{self.path}: {self.where_and_what}"


def show(value: object) -> str:
    """Return `value` as an error shows it: on one line, in ASCII, and cut if it is long."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
