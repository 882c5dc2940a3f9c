"""Templates: found, compiled, filled in safely, and clear about what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from os import utime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from notify.errors import InvalidTemplate, RenderFailed, TemplateMissing
from notify.model import Channel, Content, Subscriber
from notify.rendering import Templates
from notify.steps import Burst, Collected

SHIPPED = Path(__file__).parents[2] / "flows" / "templates"
APP = "https://app.example.com"
NOON = datetime(2026, 10, 2, 12, tzinfo=UTC)
ASHA = Subscriber("asha", "asha@harbour.example", first_name="Asha", timezone="Asia/Kolkata")
HOSTILE = "<script>alert('x')</script> & <img src=x onerror=alert(1)>"

Write = Callable[..., Templates]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write({"hello/say.push.j2": "…"})` saves files and opens their folder."""

    def save(files: Mapping[str, str | bytes]) -> Templates:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Templates([tmp_path], {"app_url": APP})

    return save


def message(body: str, subject: str = "hello", more: str = "") -> str:
    return f"{{% block subject %}}{subject}{{% endblock %}}\n{{% block body %}}{body}{{% endblock %}}\n{more}"


@pytest.fixture
def fill(write: Write) -> Callable[..., Content]:
    """`fill("{{ x }}", x=1)` is the message with that body, filled in."""

    def filled(body: str, *, subject: str = "hello", more: str = "", channel: str = "push", **context: Any) -> Content:
        templates = write({f"w/say.{channel}.j2": message(body, subject, more)})
        return templates.find("w", "say", channel, None).render({"subscriber": ASHA, **context})

    return filled


# --- finding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("locale", "found"),
    [("pt-BR", "Oi"), ("pt_br", "Oi"), ("pt-PT", "Olá"), ("pt", "Olá"), ("de-CH", "Hello"), (None, "Hello")],
)
def test_people_are_told_in_their_language_where_it_is_written(write: Write, locale: str | None, found: str) -> None:
    templates = write(
        {
            "w/say.push.j2": message("Hello"),
            "w/say.push.pt.j2": message("Olá"),
            "w/say.push.pt-BR.j2": message("Oi"),
        }
    )

    assert templates.find("w", "say", Channel.PUSH, locale).render({}).body == found


def test_a_missing_template_names_the_file_to_create(write: Write, tmp_path: Path) -> None:
    with pytest.raises(TemplateMissing) as caught:
        write({}).find("w", "say", "email", "pt-BR")

    assert (caught.value.template, caught.value.folder) == ("w/say.email.j2", str(tmp_path))


def test_a_locale_is_only_ever_a_name(write: Write) -> None:
    templates = write({"w/say.push.j2": message("Hello"), "secret.j2": "secret"})

    assert templates.find("w", "say", "push", "../../secret").name == "w/say.push.j2"


def test_an_earlier_folder_hides_its_namesakes_in_a_later_one(write: Write, tmp_path: Path) -> None:
    write({"ours/w/say.push.j2": message("ours"), "theirs/w/say.push.j2": message("theirs")})

    templates = Templates([tmp_path / "ours", tmp_path / "theirs"], {})

    assert templates.find("w", "say", "push", None).render({}).body == "ours"


# --- versions -----------------------------------------------------------------------------------


def test_a_saved_layout_makes_a_new_version_and_leaves_the_old_one_whole(write: Write) -> None:
    files = {
        "_layout.email.j2": "<p>old {% block body %}{% endblock %}</p>",
        "w/say.email.j2": '{% extends "_layout.email.j2" %}' + message("hi"),
    }
    templates = write(files)
    before = templates.find("w", "say", "email", None)

    write({"_layout.email.j2": "<p>brand new {% block body %}{% endblock %}</p>"})
    changed = templates.reload()

    after = templates.find("w", "say", "email", None)
    assert changed
    assert (before.render({}).body, after.render({}).body) == ("<p>old hi</p>", "<p>brand new hi</p>")
    assert before.version != after.version
    assert len(after.version) == 64


def test_nothing_is_read_or_compiled_again_when_nothing_was_saved(write: Write) -> None:
    templates = write({"w/say.push.j2": message("hi")})
    before = templates.find("w", "say", "push", None)

    assert not templates.reload()
    assert templates.find("w", "say", "push", None) is before


def test_a_file_saved_unchanged_keeps_its_version_and_what_was_compiled(write: Write, tmp_path: Path) -> None:
    templates = write({"w/say.push.j2": message("hi")})
    before = templates.find("w", "say", "push", None)

    utime(tmp_path / "w/say.push.j2", ns=(1, 1))

    assert templates.reload()
    assert templates.find("w", "say", "push", None) is before


def test_a_removed_file_is_gone(write: Write, tmp_path: Path) -> None:
    templates = write({"w/say.push.j2": message("hi")})
    (tmp_path / "w/say.push.j2").unlink()

    assert templates.reload()
    with pytest.raises(TemplateMissing):
        templates.find("w", "say", "push", None)


def test_templates_come_back_from_their_texts(write: Write) -> None:
    templates = write(
        {
            "_layout.email.j2": "<p>{% block body %}{% endblock %}</p>",
            "w/say.email.j2": '{% extends "_layout.email.j2" %}' + message("hi"),
            "other/say.push.j2": message("no"),
        }
    )

    texts = templates.texts("w")
    again = Templates.of_texts(texts, {"app_url": APP}).find("w", "say", "email", None)

    assert set(texts) == {"_layout.email.j2", "w/say.email.j2"}
    assert again.render({}).body == "<p>hi</p>"
    assert again.version == templates.find("w", "say", "email", None).version
    assert templates.messages("w") == [("say", Channel.EMAIL)]


# --- what is wrong with a file --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (message("\n\n{{ x"), 5, "unexpected end of template"),
        (message("\n{% if x %}"), 3, "endblock"),
        (message("\n{{ x | shout }}"), 3, "shout"),
        (message("\n{% include other %}"), 3, "in quotes"),
        ('{% extends "_gone.email.j2" %}', 1, "_gone.email.j2"),
        ("{% block subject %}x{% endblock %}", 1, "block body"),
        ("Hello", 1, "block subject"),
        (message("\n<a href='{% if x %}1{% endif %}'>x</a>"), 3, "condition inside a link"),
        (b"\n\n\xff", 3, "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_compiled_is_named_with_its_line(
    write: Write, text: str | bytes, line: int, problem: str
) -> None:
    templates = write({"w/say.email.j2": text, "fine/say.push.j2": message("hi")})

    with pytest.raises(InvalidTemplate) as caught:
        templates.check("w")

    assert (caught.value.template, caught.value.line) == ("w/say.email.j2", line)
    assert problem in str(caught.value)
    templates.check("fine")


def test_a_layout_that_cannot_be_compiled_is_the_one_that_is_named(write: Write) -> None:
    templates = write(
        {
            "_layout.email.j2": "\n\n{% block body %}{% endblock %}{{ 1 | shout }}",
            "w/say.email.j2": '{% extends "_layout.email.j2" %}' + message("hi"),
        }
    )

    with pytest.raises(InvalidTemplate) as caught:
        templates.check("w")

    assert (caught.value.template, caught.value.line) == ("_layout.email.j2", 3)


@pytest.mark.parametrize("name", ["w/say.j2", "w/say.pigeon.j2", "w/say.emial.pt.j2"])
def test_a_file_for_no_channel_is_refused(write: Write, name: str) -> None:
    with pytest.raises(InvalidTemplate, match="<step>.<channel>"):
        write({name: message("hi")}).check("w")


# --- one person's failure -----------------------------------------------------------------------


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
@pytest.mark.parametrize("channel", ["email", "push"])
def test_a_failure_names_the_file_the_line_and_the_value(
    fill: Callable[..., Content], channel: str, body: str, problem: str
) -> None:
    with pytest.raises(RenderFailed) as caught:
        fill(f"\n\n{body}", channel=channel, payload={"taskId": 1, "taskTitle": "x"})

    assert (caught.value.template, caught.value.line) == (f"w/say.{channel}.j2", 4)
    assert problem in caught.value.problem


def test_a_failure_in_the_subject_names_the_subject_s_line(fill: Callable[..., Content]) -> None:
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


# --- safety -------------------------------------------------------------------------------------


def test_what_people_write_is_escaped_in_html_and_literal_in_text(fill: Callable[..., Content]) -> None:
    content = fill("<p>{{ text }}</p>", subject="{{ text }}", channel="email", text=HOSTILE)

    assert "<script" not in content.body
    assert "<img" not in content.body
    assert "&lt;script&gt;" in content.body
    assert content.text == HOSTILE
    assert content.subject == HOSTILE


@pytest.mark.parametrize("channel", ["push", "in_app"])
def test_other_channels_are_plain_text(fill: Callable[..., Content], channel: str) -> None:
    assert fill("{{ text }} {{ text | e }}", channel=channel, text=HOSTILE).body == f"{HOSTILE} {HOSTILE}"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x00", "\u2028", "\x85", "\t \n"])
def test_a_subject_is_one_line_whatever_is_in_it(fill: Callable[..., Content], end: str) -> None:
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
    fill: Callable[..., Content], url: str, kept: bool
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
        "{{ [subscriber] | map(attribute='__class__') | list }}",
        "{{ payload.update({'x': 1}) }}",
        "{{ lipsum() }}",
    ],
)
def test_the_sandbox_holds(fill: Callable[..., Content], body: str) -> None:
    payload: dict[str, Any] = {}

    with pytest.raises(RenderFailed):
        fill(body, payload=payload)

    assert payload == {}


def test_a_field_is_the_application_s_word_before_it_is_python_s(fill: Callable[..., Content]) -> None:
    assert fill("{{ payload.items }} {{ payload.values }}", payload={"items": 3, "values": "yes"}).body == "3 yes"


def test_a_payload_may_be_a_model(fill: Callable[..., Content]) -> None:
    class Order(BaseModel):
        number: int

    assert fill("{{ payload.number }}", payload=Order(number=7)).body == "7"


def test_nothing_is_written_for_null(fill: Callable[..., Content]) -> None:
    assert fill("<{{ x }}>", x=None).body == "<>"


# --- parts of a message -------------------------------------------------------------------------


def test_an_inbox_message_may_lead_somewhere(fill: Callable[..., Content]) -> None:
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
def test_an_inbox_message_leads_nowhere_unsafe(fill: Callable[..., Content], url: str, kept: bool) -> None:
    extra = fill("hi", more="{% block redirect %}{{ url }}{% endblock %}", channel="in_app", url=url).extra

    assert extra == ({"redirect": {"url": url, "target": "_self"}} if kept else {})


def test_an_inbox_message_needs_no_subject(write: Write) -> None:
    templates = write({"w/say.in_app.j2": "{% block body %}hi{% endblock %}"})

    assert templates.find("w", "say", "in_app", None).render({}) == Content(None, "hi")


def test_an_author_s_own_text_part_is_used_as_written(fill: Callable[..., Content]) -> None:
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
def test_the_text_part_says_what_the_html_says(fill: Callable[..., Content], html: str, text: str) -> None:
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


# --- filters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("'aSHA' | capitalize", "Asha"),
        ("'a' | append('.js')", "a.js"),
        ("'ab' | upcase", "AB"),
        ("'AB' | downcase", "ab"),
        ("'abcdef' | truncate(5)", "ab..."),
        ("'abcde' | truncate(5)", "abcde"),
        ("'abcdef' | truncate(4, '…')", "abc…"),
        ("'one two three' | truncatewords(2)", "one two..."),
        ("'one two' | truncatewords(2)", "one two"),
        ("nothing | default('x')", "x"),
        ("payload.nothing | default('x')", "x"),
        ("none | default('x')", "x"),
        ("'' | default('x')", "x"),
        ("false | default('x')", "x"),
        ("0 | default('x')", "0"),
        ("3 | pluralize('comment')", "3 comments"),
        ("1 | pluralize('comment')", "1 comment"),
        ("24.0 | pluralize('hour')", "24 hours"),
        ("1.5 | pluralize('hour')", "1.5 hours"),
        ("[1, 2] | pluralize('box')", "2 boxes"),
        ("2 | pluralize('reply')", "2 replies"),
        ("2 | pluralize('day')", "2 days"),
        ("2 | pluralize('person', 'people')", "2 people"),
        ("['Ana'] | to_sentence", "Ana"),
        ("['Ana', 'Ben', 'Cy'] | to_sentence", "Ana, Ben and Cy"),
        ("['Ana', 'Ben', 'Cy'] | to_sentence(2)", "Ana, Ben and 1 other"),
        ("['Ana', 'Ben', 'Cy', 'Di'] | toSentence(2)", "Ana, Ben and 2 others"),
        ("[] | to_sentence", ""),
        ("'a,b' | split(',') | join(' / ')", "a / b"),
        ("'ab' | split('') | join", "a b"),
        ("'a-b-c' | replace('-', '+')", "a+b+c"),
        ("noon | date('%-d %b %H:%M', subscriber.timezone)", "2 Oct 17:30"),
        ("noon | date('%H:%M')", "12:00"),
        ("noon | date('%H:%M', 'Not/AZone')", "12:00"),
        ("'2026-10-02T14:00:00+02:00' | date('%H:%M')", "12:00"),
        ("0 | date('%Y')", "1970"),
        ("none | date('%Y')", ""),
        ("noon | when(subscriber.timezone)", "Friday 2 October, 17:30"),
        ("noon | when", "Friday 2 October, 12:00 UTC"),
        ("none | when", ""),
        ("'a/b c' | urlencode", "a%2Fb%20c"),
    ],
)
def test_filters_do_what_their_names_say_in_liquid(fill: Callable[..., Content], expression: str, result: str) -> None:
    assert fill(f"{{{{ {expression} }}}}", noon=NOON, payload={}).body == result


# --- what is shipped ----------------------------------------------------------------------------

TASK: dict[str, Any] = {
    "taskId": "T 1/2",
    "taskTitle": "Fix the <b>login</b> & its tests",
    "assigneeId": "asha",
    "assigneeName": "Asha",
    "assignerId": "zoe",
    "assignerName": "Zoë",
    "projectName": "R&D",
    "dueDate": NOON.isoformat(),
}
LINK = f"{APP}/tasks/T%201%2F2"


def comment(number: int, author: str, text: str = HOSTILE, *mentioned: str) -> Collected:
    said = {"commenterId": author, "commenterName": author, "commentText": text, "mentionedUserIds": list(mentioned)}
    return Collected(str(number), "task/commented", NOON, {**TASK, **said})


BURST = Burst([comment(1, "Zoë", "first", "asha"), *(comment(number, f"P{number}") for number in range(2, 9))])
NEWS = {
    "tasks": [
        {
            "id": "T 1/2",
            "title": TASK["taskTitle"],
            "project": "R&D",
            "comments": [{"author": "Zoë", "text": HOSTILE}],
            "comment_count": 4,
            "assigned_by": "Zoë",
            "due": NOON,
        },
        {
            "id": "2",
            "title": "Write",
            "project": "Office",
            "comments": [],
            "comment_count": 0,
            "assigned_by": None,
            "due": None,
        },
    ],
    "total": 5,
}
FAILURE = {"function_id": "comment-digest", "run_id": "r-1", "error": {"message": HOSTILE, "stack": "line 1\n  line 2"}}
TITLE = "“Fix the <b>login</b> & its tests”"

CASES: dict[str, tuple[str, Any, dict[str, Any], str]] = {
    "assigned": ("task-assigned/assigned", TASK, {}, f"Zoë assigned you {TITLE}"),
    "undated": ("task-assigned/assigned", {**TASK, "dueDate": None}, {}, f"Zoë assigned you {TITLE}"),
    "self-assigned": ("task-assigned/assigned", {**TASK, "assignerId": "asha"}, {}, f"You took on {TITLE}"),
    "reminder": ("deadline-reminder/due", TASK, {"hours": 24.0}, f"Due in 24 hours: {TITLE}"),
    "urgent": ("deadline-urgent/due", TASK, {}, f"Due in 1 hour: {TITLE}"),
    "comments": ("comment-digest/comments", TASK, {"burst": BURST}, f"Zoë, P2 and 6 others commented on {TITLE}"),
    "one comment": (
        "comment-digest/comments",
        TASK,
        {"burst": Burst([comment(1, "Zoë")])},
        f"Zoë commented on {TITLE}",
    ),
    "day": ("daily-digest/day", {}, {"day": NEWS}, f"Your day: {TITLE} and 1 other task"),
    "week": ("weekly-digest/week", {}, {"day": NEWS}, f"Your week: {TITLE} and 1 other task"),
    "failure": ("alert-on-failure/alert", FAILURE, {}, f"comment-digest failed: {HOSTILE}"),
}


def shipped(case: str, channel: str, subscriber: Subscriber = ASHA) -> Content:
    place, payload, arguments, _ = CASES[case]
    workflow, _, step = place.partition("/")
    template = Templates([SHIPPED], {"app_url": APP}).find(workflow, step, channel, "pt-BR")
    return template.render({"subscriber": subscriber, "payload": payload, "workflow": workflow, **arguments})


def test_every_shipped_file_is_tried_here() -> None:
    templates = Templates([SHIPPED], {})
    folders = [folder.name for folder in SHIPPED.iterdir() if folder.is_dir()]
    files = {f"{folder}/{step}" for folder in folders for step, _ in templates.messages(folder)}

    assert {place for place, *_ in CASES.values()} == files


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("subscriber", [ASHA, Subscriber("asha")], ids=["known", "unknown"])
def test_every_shipped_email_reads_well(case: str, subscriber: Subscriber) -> None:
    content = shipped(case, "email", subscriber)

    assert content.subject == CASES[case][3]
    assert content.body.startswith("<!doctype html>")
    assert not {"<script", "<img", "<b>", "None"} & {
        word for word in ("<script", "<img", "<b>", "None") if word in content.body
    }
    assert "You get this because" in content.body
    assert content.text is not None
    assert f"change what you receive <{APP}/settings/notifications>" in content.text
    assert "font-size" not in content.text
    assert "  " not in content.text.replace("\n", "")


@pytest.mark.parametrize("case", CASES)
def test_every_shipped_inbox_message_reads_well(case: str) -> None:
    content = shipped(case, "in_app")

    assert content.subject
    assert content.body
    assert "None" not in content.body
    assert case == "failure" or content.extra["redirect"]["url"].startswith(f"{APP}/tasks")


@pytest.mark.parametrize("case", ["assigned", "undated", "self-assigned", "reminder", "urgent"])
def test_every_shipped_push_message_is_short_and_names_the_task(case: str) -> None:
    content = shipped(case, "push")

    assert TASK["taskTitle"] in content.body
    assert len(f"{content.subject} {content.body}") < 120


@pytest.mark.parametrize("case", ["assigned", "reminder", "urgent", "comments"])
def test_the_button_opens_the_task(case: str) -> None:
    content = shipped(case, "email")

    assert f'href="{LINK}"' in content.body
    assert f"<{LINK}>" in (content.text or "")
    assert shipped(case, "in_app").extra["primaryAction"]["redirect"]["url"] == LINK


def test_a_due_date_is_said_in_the_person_s_own_zone() -> None:
    assert "Friday 2 October, 17:30" in (shipped("reminder", "email").text or "")
    assert "Friday 2 October, 12:00 UTC" in (shipped("reminder", "email", Subscriber("asha")).text or "")


def test_a_burst_shows_five_comments_and_counts_them_all() -> None:
    text = shipped("comments", "email").text or ""

    assert "8 new comments" in text
    assert "Zoë mentioned you:\n\nfirst" in text
    assert text.count(HOSTILE) == 4
    assert "and 3 more" in text
    assert "and 3 more" in shipped("comments", "in_app").body
    assert "more" not in shipped("one comment", "in_app").body


def test_a_summary_links_each_task_and_counts_what_it_leaves_out() -> None:
    text = shipped("day", "email").text or ""

    assert "2 tasks, 4 comments" in text
    assert f"Fix the <b>login</b> & its tests <{LINK}>" in text
    assert "and 3 more comments" in text
    assert f"Write <{APP}/tasks/2>" in text
