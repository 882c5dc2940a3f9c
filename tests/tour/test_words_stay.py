"""Whoever waits is sent what the templates said when they began; whoever comes later, what they say now."""

from __future__ import annotations

from pathlib import Path

from notify.engine import runtime
from notify.model import Channel
from notify.testing import rehearsal

MONDAY = "2026-03-02 09:00 UTC"
FLOW = """
from typing import Any
from notify.workflow import Notification, workflow

@workflow("later")
async def later(n: Notification[dict[str, Any]]) -> None:
    await n.sleep("a-day", days=1)
    await n.email("hello")
"""


def _written(folder: Path, subject: str) -> None:
    template = folder / "templates" / "later" / "hello.email.j2"
    template.parent.mkdir(parents=True, exist_ok=True)
    template.write_text("{% block subject %}" + subject + "{% endblock %}{% block body %}…{% endblock %}")


def test_a_template_changed_while_somebody_waits_changes_only_what_begins_later(tmp_path: Path) -> None:
    (tmp_path / "later.py").write_text(FLOW)
    _written(tmp_path, "as it was")
    with rehearsal(MONDAY, flows=tmp_path) as r:
        r.trigger("later", to="ana")

        _written(tmp_path, "as it is now")
        r.engine.contents = runtime.contents(r.engine.settings, r.engine.database)
        r.trigger("later", to="ben")
        r.advance("1d")

        assert (r.sent("ana").subjects, r.sent("ben").subjects) == (["as it was"], ["as it is now"])


def test_who_somebody_is_and_what_they_chose_is_read_when_the_step_is_reached(tmp_path: Path) -> None:
    (tmp_path / "later.py").write_text(FLOW)
    _written(tmp_path, "hello")
    with rehearsal(MONDAY, flows=tmp_path) as r:
        r.person("ana", email="old@example.com")
        r.trigger("later", to=["ana", "ben"])

        r.person("ana", email="new@example.com")
        r.person("ben", email=None)
        r.advance("1d")

        assert [mail.address for mail in r.providers[Channel.EMAIL].accepted] == ["new@example.com"]
        assert "later email (hello): skipped, the person has no address for this channel" in r.explain()
