"""Templates over people's values: safe, in parts, and one person's failure is one person's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from notify.errors import RenderFailed
from notify.model import Content
from tests.rooms.rendering_world import APP, HOSTILE, Fill, Write, filling, message, writing


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Saves files and opens their folder."""
    return writing(tmp_path)


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Fills in a message with the body given."""
    return filling(tmp_path)


# --- one person's failure ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("{{ nothing }}", "`nothing` is missing"),
        ("{{ payload.taskUrl }}", "`taskUrl` is missing; there is taskId, taskTitle"),
        ("{{ subscriber.surname }}", "`surname` is missing from Subscriber"),
        ("{% if nothing %}x{% endif %}", "`nothing` is missing"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ '2026-10-02T12:00' | date('%H') }}", "has no time zone"),
    ],
)
@pytest.mark.parametrize("channel", ["email", "push", "sms"])
def test_a_failure_names_the_file_the_line_and_the_value(fill: Fill, channel: str, body: str, problem: str) -> None:
    with pytest.raises(RenderFailed) as caught:
        fill(f"\n\n{body}", channel=channel, payload={"taskId": 1, "taskTitle": "x"})

    assert (caught.value.template, caught.value.line) == (f"w/say.{channel}.j2", 4)
    assert problem in caught.value.problem


def test_a_failure_in_the_subject_names_the_subject_s_line(fill: Fill) -> None:
    with pytest.raises(RenderFailed) as caught:
        fill("hi", subject="\n{{ nothing }}", channel="email")

    assert caught.value.line == 2


def test_one_person_s_failure_is_that_person_s_only(write: Write) -> None:
    template = write({"w/say.email.j2": message("Hi {{ payload.name }}")}).find("w", "say", "email", None)
    payloads = [{"name": f"person {number}"} if number != 250 else {} for number in range(500)]

    outcomes = [_body_or_failure(template.render, payload) for payload in payloads]

    failed = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, RenderFailed)]
    assert failed == [250]
    assert outcomes[251] == "Hi person 251"


def _body_or_failure(render: Callable[..., Content], payload: Mapping[str, str]) -> str | RenderFailed:
    try:
        return render({"payload": payload}).body
    except RenderFailed as failure:
        return failure


# --- text messages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{% set name = text %}\nDear {{ name }},\n\n\n{% if name %}\n  R&D is late  \n{% endif %}\n",
        "{% block body %}Dear {{ text }},\n\nR&D is late\n{% endblock %}\nnever said",
        "{% set name = text %}{% block subject %}never said{% endblock %}"
        "{% block body %}Dear {{ text }},\n\nR&D is late{% endblock %}",
    ],
    ids=["the whole file", "its block", "its block beside others"],
)
def test_a_text_message_is_its_file_or_the_block_of_its_body(write: Write, text: str) -> None:
    template = write({"w/say.sms.j2": text}).find("w", "say", "sms", None)

    assert template.render({"text": "Zoë"}) == Content(None, "Dear Zoë,\n\nR&D is late")


def test_a_text_message_may_be_laid_out_by_another_file(write: Write) -> None:
    files = {
        "_signed.sms.j2": "{% block body %}{% endblock %}",
        "w/say.sms.j2": '{% extends "_signed.sms.j2" %}{% block body %}{{ super() }}Hello{% endblock %}',
    }

    assert write(files).find("w", "say", "sms", None).render({}) == Content(None, "Hello")


# --- safety --------------------------------------------------------------------------------------


def test_what_people_write_is_escaped_in_html_and_literal_in_text(fill: Fill) -> None:
    content = fill("<p>{{ text }}</p>", subject="{{ text }}", channel="email", text=HOSTILE)

    assert "<script" not in content.body
    assert "<img" not in content.body
    assert "&lt;script&gt;" in content.body
    assert content.text == HOSTILE
    assert content.subject == HOSTILE


@pytest.mark.parametrize("channel", ["push", "in_app", "sms"])
def test_other_channels_are_plain_text(fill: Fill, channel: str) -> None:
    assert fill("{{ text }} {{ text | e }}", channel=channel, text=HOSTILE).body == f"{HOSTILE} {HOSTILE}"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x00", "\u2028", "\x85", "\t \n"])
def test_a_subject_is_one_line_whatever_is_in_it(fill: Fill, end: str) -> None:
    content = fill("hi", subject="\n About {{ title }}\n", channel="email", title=f"x{end}Bcc: eve@example.com")

    assert content.subject == "About x Bcc: eve@example.com"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.com/a?b=1", True),
        ("http://example.com", True),
        ("mailto:zoe@example.com", True),
        ("javascript:alert(1)", False),
        (" JavaScript:alert(1)", False),
        ("java\nscript:alert(1)", False),
        ("data:text/html,x", False),
        ("//example.com", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_a_link_leads_to_the_web_or_to_a_mailbox_though_the_author_forgot_to_check(
    fill: Fill, url: str, kept: bool
) -> None:
    content = fill('<a href="{{ url }}">go</a><img src="{{ url }}">', channel="email", url=url)

    expected = url if kept else ""
    assert content.body == f'<a href="{expected}">go</a><img src="{expected}">'
    assert content.text == f"go <{expected}>"
    assert fill("{{ url | safe_url }}", url=url).body == expected


@pytest.mark.parametrize(
    "body",
    [
        "{{ payload.__class__ }}",
        "{{ subscriber.__class__.__mro__ }}",
        "{{ subscriber._private }}",
        "{{ subscriber['__class__'] }}",
        "{{ ''.__class__ }}",
        "{{ '{0.__class__}'.format(subscriber) }}",
        "{{ subscriber | attr('__class__') }}",
        "{{ [subscriber] | map(attribute='__class__') | first }}",
        "{{ payload.update({'x': 1}) }}",
        "{{ lipsum() }}",
    ],
)
def test_the_sandbox_holds(fill: Fill, body: str) -> None:
    payload: dict[str, Any] = {}

    with pytest.raises(RenderFailed):
        fill(body, payload=payload)

    assert payload == {}


def test_a_field_is_the_application_s_word_before_it_is_python_s(fill: Fill) -> None:
    assert fill("{{ payload.items }} {{ payload.values }}", payload={"items": 3, "values": "yes"}).body == "3 yes"


def test_a_payload_may_be_a_model(fill: Fill) -> None:
    class Order(BaseModel):
        number: int

    assert fill("{{ payload.number }}", payload=Order(number=7)).body == "7"


def test_nothing_is_written_for_null(fill: Fill) -> None:
    assert fill("<{{ x }}>", x=None).body == "<>"


# --- parts of a message --------------------------------------------------------------------------


def test_an_inbox_message_may_lead_somewhere(fill: Fill) -> None:
    more = (
        "{% block redirect %}{{ app_url }}/tasks/{{ id | urlencode }}{% endblock %}"
        "{% block primary_action %}Yes | no | {{ app_url }}/yes{% endblock %}"
        "{% block secondary_action %}Later{% endblock %}"
    )

    extra = fill("hi", more=more, channel="in_app", id="a/b c").extra

    assert extra == {
        "redirect": {"url": f"{APP}/tasks/a%2Fb%20c", "target": "_self"},
        "primaryAction": {"label": "Yes | no", "redirect": {"url": f"{APP}/yes", "target": "_self"}},
        "secondaryAction": {"label": "Later"},
    }


@pytest.mark.parametrize(
    ("url", "kept"), [("/tasks/1", True), ("javascript:alert(1)", False), ("//evil", False), ("", False)]
)
def test_an_inbox_message_leads_nowhere_unsafe(fill: Fill, url: str, kept: bool) -> None:
    extra = fill("hi", more="{% block redirect %}{{ url }}{% endblock %}", channel="in_app", url=url).extra

    assert extra == ({"redirect": {"url": url, "target": "_self"}} if kept else {})


def test_an_inbox_message_needs_no_subject(write: Write) -> None:
    templates = write({"w/say.in_app.j2": "{% block body %}hi{% endblock %}"})

    assert templates.find("w", "say", "in_app", None).render({}) == Content(None, "hi")


def test_an_author_s_own_text_part_is_used_as_written(fill: Fill) -> None:
    content = fill("<p>html</p>", more="{% block text %}plain <b>\n  kept{% endblock %}", channel="email")

    assert (content.body, content.text) == ("<p>html</p>", "plain <b>\n  kept")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p>\n  <p>two\n  lines</p>", "one\n\ntwo lines"),
        ("a<br>b&nbsp;&amp;&#33;", "a\nb &!"),
        ("<ul>{% for x in xs %}<li>{{ x }}</li>{% endfor %}</ul>", "- 1\n\n- 2"),
        (
            '<a class="{{ xs[0] }}" href="https://e.example/{{ xs[1] }}?a=1&amp;b=2">go</a>',
            "go <https://e.example/2?a=1&b=2>",
        ),
        ("<a name=top>here</a>", "here"),
        ("<style>p { color: {{ xs[0] }} }</style><!-- {{ xs[0] }} > -->x", "x"),
        ('<div style="display: none"><div>{{ xs[0] }}</div>no</div>yes', "yes"),
        ('<img alt="a > b" src="https://e.example/x.png">x', "x"),
        ("{% if xs %}<b>yes</b>{% else %}no{% endif %}", "yes"),
        ("1 < 2", "1 < 2"),
    ],
)
def test_the_text_part_says_what_the_html_says(fill: Fill, html: str, text: str) -> None:
    assert fill(html, channel="email", xs=[1, 2]).text == text


def test_a_hidden_block_of_a_layout_is_not_in_the_text(write: Write) -> None:
    templates = write(
        {
            "_layout.email.j2": "<div style='display:none'>{% block preheader %}{% endblock %}</div>"
            "{% block body %}{% endblock %}",
            "w/say.email.j2": '{% extends "_layout.email.j2" %}{% set x = 1 %}'
            + message("hi {{ x }}", more="{% block preheader %}psst{% endblock %}"),
        }
    )

    content = templates.find("w", "say", "email", None).render({})

    assert "psst" in content.body
    assert content.text == "hi 1"
