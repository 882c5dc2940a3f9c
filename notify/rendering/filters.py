"""What a template may do to a value, under the names Liquid gave these filters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from jinja2 import Undefined
from markupsafe import soft_str

#: What a link may start with; anything else could run as a script where the message is read.
LINK_SCHEMES = frozenset({"http", "https", "mailto"})
#: What nearly every link looks like: nothing in it needs a closer look.
_PLAIN_LINK = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:[/?#][!#-;=?-Z_a-z~]*)?")
_DROPPED_BY_BROWSERS = re.compile(r"[\x00-\x20\x7f]")


# --- words --------------------------------------------------------------------------------------


def append(value: Any, suffix: Any) -> str:
    """`value` followed by `suffix`."""
    return soft_str(value) + soft_str(suffix)


def upcase(value: Any) -> str:
    """In capitals."""
    return soft_str(value).upper()


def downcase(value: Any) -> str:
    """In small letters."""
    return soft_str(value).lower()


def truncate(value: Any, length: int = 50, ellipsis: str = "...") -> str:
    """At most `length` characters, the ellipsis among them."""
    text = soft_str(value)
    return text if len(text) <= length else text[: max(0, length - len(ellipsis))].rstrip() + ellipsis


def truncatewords(value: Any, words: int = 15, ellipsis: str = "...") -> str:
    """At most `words` words, followed by the ellipsis when there were more."""
    text = soft_str(value)
    parts = text.split()
    return text if len(parts) <= words else " ".join(parts[:words]) + ellipsis


def default(value: Any, fallback: Any = "") -> Any:
    """`fallback` where the value is undefined, null, false or empty; zero is a value."""
    if isinstance(value, Undefined) or value is None or value is False:
        return fallback
    return fallback if isinstance(value, Sized) and not len(value) else value


def pluralize(count: Any, singular: str, plural: str | None = None) -> str:
    """`3 | pluralize("comment")` is "3 comments"; a list counts its items. Irregular plurals are given."""
    number: Any = len(count) if isinstance(count, Sized) and not isinstance(count, str) else count
    # What was kept as JSON comes back as 24.0; people say 24.
    number = int(number) if isinstance(number, float) and number.is_integer() else number
    return f"{number} {singular if number == 1 else plural or _plural(singular)}"


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


# --- lists --------------------------------------------------------------------------------------


def split(value: Any, separator: str = " ") -> list[str]:
    """The parts between separators; an empty separator gives the characters."""
    return soft_str(value).split(separator) if separator else list(soft_str(value))


def join(items: Iterable[Any], glue: str = " ") -> str:
    """The items with `glue` between them."""
    return glue.join(str(item) for item in items)


def to_sentence(items: Iterable[Any], limit: int = 0, overflow: str = "other") -> str:
    """`["Ana", "Ben", "Cy"]` is "Ana, Ben and Cy"; with `limit=2` "Ana, Ben and 1 other"."""
    words = [str(item) for item in items]
    if limit and len(words) > limit:
        words = [*words[:limit], pluralize(len(words) - limit, overflow)]
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


# --- instants -----------------------------------------------------------------------------------


def date(value: Any, pattern: str, zone: str | None = None) -> str:
    """An instant by a strftime pattern, in `zone` where that is given and known, otherwise in UTC; null is empty."""
    return "" if value is None else _local(_instant(value), _zone(zone)).strftime(pattern)


def when(value: Any, zone: str | None = None) -> str:
    """An instant as people say it, "Friday 2 October, 14:00", in their own zone; "UTC" is added where none is known."""
    return "" if value is None else _spoken(_instant(value), zone)


@lru_cache(maxsize=4096)
def _spoken(instant: datetime, zone: str | None) -> str:
    """Remembered, because a message says it in each of its parts, and often to many people."""
    known = _zone(zone)
    local = _local(instant, known)
    return f"{local:%A} {local.day} {local:%B}, {local:%H:%M}" + ("" if known else " UTC")


def _instant(value: Any) -> datetime:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    instant = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if instant.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    return instant


def _local(instant: datetime, zone: tzinfo | None) -> datetime:
    """The instant in that zone or in UTC; as it was given where it would be past the end of the calendar there."""
    try:
        return instant.astimezone(zone or UTC)
    except OverflowError:
        return instant


@lru_cache(maxsize=1024)
def _zone(name: str | None) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        # A misspelt zone in somebody's profile is no reason to tell them nothing.
        return None


# --- links --------------------------------------------------------------------------------------


def safe_url(value: Any) -> str:
    """The URL itself when it is an http, https or mailto one, otherwise nothing.

    The sandbox applies it to every link in a template's HTML, so a payload can never bring a script.
    """
    url = soft_str(value).strip()
    if _PLAIN_LINK.fullmatch(url):
        return url
    if _DROPPED_BY_BROWSERS.search(url):
        # Before they read the scheme, so that `java\nscript:` would be one.
        return ""
    try:
        return url if urlsplit(url).scheme in LINK_SCHEMES else ""
    except ValueError:
        return ""


def urlencode(value: Any) -> str:
    """Fit for one part of a URL's path or query: a slash is encoded too."""
    return quote(str(value), safe="")


def _unescaped(value: Any) -> str:
    return soft_str(value)


#: Filters every template has, besides Jinja's own `capitalize`, `replace`, `length`, `map`, `unique`, …
EVERYWHERE: Mapping[str, Callable[..., Any]] = {
    "append": append,
    "upcase": upcase,
    "downcase": downcase,
    "truncate": truncate,
    "truncatewords": truncatewords,
    "default": default,
    "pluralize": pluralize,
    "split": split,
    "join": join,
    "to_sentence": to_sentence,
    "toSentence": to_sentence,
    "date": date,
    "when": when,
    "safe_url": safe_url,
    "urlencode": urlencode,
    "url_encode": urlencode,
}

#: What plain text changes: an author's `| e` is right in HTML and would show as `&amp;` in a text.
IN_TEXT: Mapping[str, Callable[..., Any]] = {"e": _unescaped, "escape": _unescaped, "forceescape": _unescaped}

#: Names that would put something into a message that nobody wrote.
UNUSED_GLOBALS: Sequence[str] = ("lipsum",)
