"""Whoever waits is sent what the templates said when they began; whoever comes later, what they say now."""

from __future__ import annotations

from pathlib import Path

from notify.engine import runtime
from notify.testing import World, world

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


def _subjects(w: World, person: str) -> list[str | None]:
    return [mail.content.subject for mail in w.sent(person)]


def test_a_template_changed_while_somebody_waits_changes_only_what_begins_later(tmp_path: Path) -> None:
    (tmp_path / "later.py").write_text(FLOW)
    _written(tmp_path, "as it was")
    with world(tmp_path) as w:
        w.notify.subscribers.save([{"subscriberId": who, "email": f"{who}@example.com"} for who in ("ana", "ben")])
        w.trigger("later", to="ana")

        _written(tmp_path, "as it is now")
        w.engine.contents = runtime.contents(w.engine.settings, w.engine.database)
        w.trigger("later", to="ben")
        w.advance(days=1)

        assert (_subjects(w, "ana"), _subjects(w, "ben")) == (["as it was"], ["as it is now"])


def test_who_somebody_is_and_what_they_chose_is_read_when_the_step_is_reached(tmp_path: Path) -> None:
    (tmp_path / "later.py").write_text(FLOW)
    _written(tmp_path, "hello")
    with world(tmp_path) as w:
        w.notify.subscribers.save([{"subscriberId": "ana", "email": "old@example.com"}])
        told = w.trigger("later", to=["ana", "ben"])

        w.notify.subscribers.save([{"subscriberId": "ana", "email": "new@example.com"}, {"subscriberId": "ben"}])
        w.advance(days=1)

        assert [mail.address for mail in w.sent("ana")] == ["new@example.com"]
        assert ("later", "ben", "email", "skipped", "missing_address") in w.why(told)
