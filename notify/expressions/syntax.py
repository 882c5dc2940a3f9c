"""What can be read off an expression's text. Exact, or silent: where a text is beyond it, the answer is None."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

OWN, CANDIDATE = "event", "async"
_MACROS = {"all", "exists", "exists_one", "map", "filter"}
_OPENING, _CLOSING = {"(", "[", "{"}, {")", "]", "}"}
#: Strings in three quotes and strings of bytes are left out; a text that has them is beyond us.
_TOKEN = re.compile(
    r"""
      (?P<blank> \s+ | //[^\n]* )
    | [rR]"(?!"")[^"\n\r]*" | [rR]'(?!'')[^'\n\r]*'
    | "(?!"")(?:[^"\\\n\r]|\\.)*" | '(?!'')(?:[^'\\\n\r]|\\.)*'
    | [A-Za-z_]\w*(?![\w"'])
    | 0[xX][0-9a-fA-F]+[uU]?(?!\w) | \d+(?:\.\d+)?(?:[eE][+-]?\d+)?[uU]?(?!\w)
    | && | \|\| | [=!<>]= | [-+*/%<>!?:.,()\[\]{}]
    """,
    re.VERBOSE | re.ASCII,
)
_PATH = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_EQUALITY = re.compile(rf"({OWN}|{CANDIDATE})\.({_PATH})==({OWN}|{CANDIDATE})\.({_PATH})", re.ASCII)
_BARE = re.compile(r"[^\W\d][\w-]*(?:\.[\w-]+)*")

#: Names with the names wanted below each; None is everything there.
Wanted = dict[str, Any]


def bare_path(text: str) -> str | None:
    """The path of an expression that is nothing but one; without `data.` it is one in the data."""
    if not _BARE.fullmatch(text) or text.startswith(f"{CANDIDATE}.") or text in ("true", "false", "null"):
        return None
    root, _, below = text.partition(".")
    if root == OWN and below:
        return below
    return text if root == "data" else f"data.{text}"


def tokens(text: str) -> tuple[str, ...] | None:
    """The words, texts and marks of an expression."""
    found: list[str] = []
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            return None
        if token["blank"] is None:
            found.append(token[0])
        place = token.end()
    return tuple(found)


def equal_paths(words: Sequence[str]) -> tuple[tuple[str, str] | None, bool]:
    """The first pair of paths (the original's, the candidate's) that has to be equal, and whether that is all there is.

    Only an equality which, if it is false, makes the whole expression false: one of its conjuncts.
    """
    conjuncts = list(_conjuncts(words))
    pairs = [pair for conjunct in conjuncts if (pair := _pair(conjunct))]
    return (pairs[0] if pairs else None), len(conjuncts) == len(pairs) == 1


def _pair(words: Sequence[str]) -> tuple[str, str] | None:
    found = _EQUALITY.fullmatch("".join(words))
    if not found or found[1] == found[3]:
        return None
    return (found[2], found[4]) if found[1] == OWN else (found[4], found[2])


def _conjuncts(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """The parts that all have to be true."""
    outer = list(_outer(words))
    if outer and outer[0] == 0 and words[0] == "(" and len(outer) == 2:
        yield from _conjuncts(words[1:-1])
        return
    cuts = [place for place in outer if words[place] == "&&"]
    if not cuts or any(words[place] in ("||", "?") for place in outer):
        yield words
        return
    for start, end in zip([-1, *cuts], [*cuts, len(words)], strict=True):
        yield from _conjuncts(words[start + 1 : end])


def _outer(words: Sequence[str]) -> Iterator[int]:
    """The places that stand in no brackets; brackets themselves stand outside."""
    depth = 0
    for place, word in enumerate(words):
        depth -= word in _CLOSING
        if depth == 0:
            yield place
        depth += word in _OPENING


def bound(words: Sequence[str]) -> set[str]:
    """The names that `all`, `exists`, `map` and their like give to members of lists."""
    calls = range(len(words) - 3)
    return {words[at + 2] for at in calls if words[at] in _MACROS and words[at + 1] == "(" and words[at + 3] == ","}


def wanted(words: Sequence[str]) -> Wanted:
    """What the expression reads of the two events."""
    found: Wanted = {}
    for place, word in enumerate(words):
        if word in (OWN, CANDIDATE) and (place == 0 or words[place - 1] != "."):
            _want(found, _path_at(words, place))
    return found


def _path_at(words: Sequence[str], place: int) -> list[str]:
    path = [words[place]]
    while words[place + 1 : place + 2] == (".",):
        place += 2
        path.append(words[place])
    called = words[place + 1 : place + 2] == ("(",)
    return path[:-1] if called else path


def _want(found: Wanted, path: Sequence[str]) -> None:
    *above, last = path
    for name in above:
        below = found.setdefault(name, {})
        if below is None:
            return
        found = below
    found[last] = None


def picked(value: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Only what is wanted, so that a question costs what it reads and not what an event carries."""
    return {name: _below(value[name], below) for name, below in wanted.items() if name in value}


def _below(value: Any, wanted: Wanted | None) -> Any:
    if wanted is None or not isinstance(value, Mapping):
        return value
    return picked(cast("Mapping[str, Any]", value), wanted)
