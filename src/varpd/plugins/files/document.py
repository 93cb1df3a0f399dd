"""A JSON object of any size (RFC 8259), read one member at a time.

A decoder that takes the whole text holds Python's interpreter lock for seconds where there are a
million members. Here the text is a window that moves over the file, and each step decodes one
member, so no step takes longer than the largest member that is allowed.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from json.decoder import JSONDecodeError
from typing import Any, Final, NoReturn

from varpd.plugins.files.errors import FilesError, show

MAX_MEMBER: Final = 1 << 20
"""Longest member, characters. It bounds the time of one step: about 10 ms."""

_BLOCK: Final = 4 << 20
"""Bytes that are read at a time."""

_TOO_LONG: Final = f"an entry of more than {MAX_MEMBER} characters"

_LONGEST_TOKEN: Final = 16
"""No token but a string is longer; one that is cut at the end of the window begins this near."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_PLAIN_KEY: Final = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
"""The beginning of a member as nearly all are: a key without escapes, and the colon."""
_PLAIN_NEXT: Final = re.compile(rf"[ \t\n\r]*,[ \t\n\r]*{_PLAIN_KEY.pattern}")
"""The same behind another member."""


class _NotJsonError(ValueError):
    """What Python's decoder would take, but JSON does not have or leaves open."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _NotJsonError(f"key {show(twice)} stands there twice")
    return members


def _constant(name: str) -> NoReturn:
    raise _NotJsonError(f"{name} is no JSON")


class Document:
    """The members of the one object that a JSON text is.

    Iterate over it once, for each member's key and value.

    Raises:
        FilesError: while iterating; the text is not UTF-8, not JSON, not an object, or has a
            member longer than `MAX_MEMBER`.
    """

    def __init__(self, path: str, read: Callable[[int], bytes]) -> None:
        """Take the `path` for errors to name, and what reads at most so many bytes of the text."""
        self._path = path
        self._read = read
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._scan = json.JSONDecoder(
            object_pairs_hook=_object, parse_constant=_constant
        ).raw_decode
        self._text = ""
        self._at = 0
        self._all_read = False
        self._line = 1
        self._column = 1
        self._member = 0

    def __iter__(self) -> Iterator[tuple[str, object]]:
        self._skip()
        if not self._text.startswith("{", self._at):
            self._fail("expected '{': the file is one JSON object")
        self._at += 1
        self._skip()
        if self._text.startswith("}", self._at):
            self._at += 1
        else:
            yield from self._members()
        self._skip()
        if self._at < len(self._text):
            self._fail("more text behind the end of the object")

    @property
    def line(self) -> int:
        """The line, from 1, where the member that was given last begins."""
        return self._place(self._member)[0]

    def _members(self) -> Iterator[tuple[str, object]]:
        plain = _PLAIN_KEY.match(self._text, self._at)
        while True:
            if plain is None:
                self._member = self._at
                key = self._awkward_key()
            else:
                key = plain[1]
                self._member = plain.start(1) - 1
                self._at = plain.end()
            value = self._value(key)
            yield key, value
            plain = _PLAIN_NEXT.match(self._text, self._at)
            if plain is not None and (self._all_read or len(self._text) - plain.end() > MAX_MEMBER):
                continue
            self._skip()
            separator = self._text[self._at : self._at + 1]
            if separator == "}":
                self._at += 1
                return
            if separator != ",":
                self._fail("expected ',' or '}'")
            self._at += 1
            self._skip()
            plain = _PLAIN_KEY.match(self._text, self._at)

    def _value(self, key: str) -> object:
        """Decode the value where the window stands, and go behind it."""
        try:
            value: object
            value, self._at = self._scan(self._text, self._at)
        except JSONDecodeError as exc:
            self._not_decoded(exc.msg, exc.pos)
        except RecursionError:
            self._fail("nested too deeply")
        except ValueError as exc:
            self._fail(f"{show(key)}: {exc}")
        if self._at - self._member > MAX_MEMBER:
            self._fail(_TOO_LONG, self._member)
        return value

    def _awkward_key(self) -> str:
        """Read a key with escapes in it and the colon, or say what is wrong there."""
        if not self._text.startswith('"', self._at):
            self._fail('expected a MAC address in "')
        key = str(self._value("key"))
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr] # matches
        if not self._text.startswith(":", self._at):
            self._fail("expected ':'")
        self._at = _SPACE.match(self._text, self._at + 1).end()  # type: ignore[union-attr]
        return key

    def _skip(self) -> None:
        """Go to what follows white space, and have all of the member that may begin there."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._all_read or len(self._text) - self._at > MAX_MEMBER:
                return
            self._move_window()

    def _move_window(self) -> None:
        self._line, self._column = self._place(self._at)
        self._text = self._text[self._at :]
        self._at = self._member = 0
        block = self._read(_BLOCK)
        self._all_read = not block
        try:
            self._text += self._decoder.decode(block, final=self._all_read)
        except UnicodeDecodeError as exc:
            line = self._place(len(self._text))[0] + exc.object.count(b"\n", 0, exc.start)
            raise FilesError(self._path, f"not UTF-8: {exc.reason}", line) from exc

    def _not_decoded(self, what: str, at: int) -> NoReturn:
        """Say what is wrong, or that the member goes on behind the window."""
        at_the_end = at > len(self._text) - _LONGEST_TOKEN
        if not self._all_read and (at_the_end or what.startswith("Unterminated")):
            self._fail(_TOO_LONG, self._member)
        self._fail(what, at)

    def _place(self, at: int) -> tuple[int, int]:
        """Return line and column, from 1, of a character in the window."""
        lines = self._text.count("\n", 0, at)
        if not lines:
            return self._line, self._column + at
        return self._line + lines, at - self._text.rfind("\n", 0, at)

    def _fail(self, what: str, at: int | None = None) -> NoReturn:
        raise FilesError(self._path, what, *self._place(self._at if at is None else at))
