"""Keys as they are stored: of steps, and of any value, for digests, throttles, and what only so many may do at once."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final

#: What stands for a value that was not given: None, 0 and "" are values.
ABSENT: Final = object()
#: Characters of a key that are kept as they are; PostgreSQL's indexes have no room for very long ones.
_LONGEST_KEY = 400


def names_a_step(key: Any) -> bool:
    """Whether a step may have this key: a text that is found again, and that every database keeps as it is."""
    if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY:
        return False
    return "\0" not in key and key == key.encode("utf-8", "replace").decode()


def key_text(key: Any) -> str:
    """A key as it is stored: "" when there is none, a text as it is, any other value as its JSON.

    Equal values have equal texts, whatever the order of their fields. Of a very long one the beginning is kept, and a
    hash of the whole.
    """
    if key is ABSENT:
        return ""
    text = str(key) if isinstance(key, str) else json.dumps(key, sort_keys=True, ensure_ascii=False, default=str)
    if len(text) <= _LONGEST_KEY:
        return text
    return f"{text[:_LONGEST_KEY]}…{sha256(text.encode()).hexdigest()}"
