"""Folders of templates for tests: saved, opened, filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from notify.model import Content, Subscriber
from notify.rendering import Templates

APP = "https://app.example.com"
ASHA = Subscriber("asha", "asha@harbour.example", first_name="Asha", timezone="Asia/Kolkata")
HOSTILE = "<script>alert('x')</script> & <img src=x onerror=alert(1)>"

Write = Callable[..., Templates]
Fill = Callable[..., Content]


def message(body: str, subject: str = "hello", more: str = "") -> str:
    """The text of a template file."""
    return f"{{% block subject %}}{subject}{{% endblock %}}\n{{% block body %}}{body}{{% endblock %}}\n{more}"


def writing(folder: Path) -> Write:
    """`write({"hello/say.push.j2": "…"})` saves files and opens their folder."""

    def write(files: Mapping[str, str | bytes]) -> Templates:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Templates([folder], {"app_url": APP})

    return write


def filling(folder: Path) -> Fill:
    """`fill("{{ x }}", x=1)` is the message with that body, filled in."""

    def fill(body: str, *, subject: str = "hello", more: str = "", channel: str = "push", **context: Any) -> Content:
        templates = writing(folder)({f"w/say.{channel}.j2": message(body, subject, more)})
        return templates.find("w", "say", channel, None).render({"subscriber": ASHA, **context})

    return fill
