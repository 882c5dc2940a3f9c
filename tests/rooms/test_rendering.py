"""Templates: found, compiled once a version, and clear about what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from notify.errors import InvalidTemplate, TemplateMissing
from notify.model import Channel
from notify.rendering import Templates
from tests.rooms.rendering_world import APP, Write, message, writing


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Saves files and opens their folder."""
    return writing(tmp_path)


# --- finding -------------------------------------------------------------------------------------


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


# --- versions ------------------------------------------------------------------------------------


def test_a_saved_layout_makes_a_new_version_and_leaves_the_old_one_whole(write: Write) -> None:
    files = {
        "_layout.email.j2": "<p>old {% block body %}{% endblock %}</p>",
        "w/say.email.j2": '{% extends "_layout.email.j2" %}' + message("hi"),
    }
    templates = write(files)
    before = templates.find("w", "say", "email", None)

    after = write({"_layout.email.j2": "<p>brand new {% block body %}{% endblock %}</p>"}).find(
        "w", "say", "email", None
    )

    assert (before.render({}).body, after.render({}).body) == ("<p>old hi</p>", "<p>brand new hi</p>")
    assert before.version != after.version
    assert len(after.version) == 64


def test_a_file_saved_unchanged_keeps_its_version_and_what_was_compiled(write: Write) -> None:
    before = write({"w/say.push.j2": message("hi")}).find("w", "say", "push", None)

    assert write({"w/say.push.j2": message("hi")}).find("w", "say", "push", None) is before


def test_files_are_read_once(write: Write, tmp_path: Path) -> None:
    templates = write({"w/say.push.j2": message("hi")})
    (tmp_path / "w/say.push.j2").unlink()

    assert templates.find("w", "say", "push", None).render({}).body == "hi"
    with pytest.raises(TemplateMissing):
        write({}).find("w", "say", "push", None)


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


# --- what is wrong with a file -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (message("\n\n{{ x"), 4, "end of print statement"),
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
    with pytest.raises(InvalidTemplate, match="<step>"):
        write({name: message("hi")}).check("w")


def test_the_line_of_a_push_message_is_its_subject_or_its_title(write: Write) -> None:
    for block in ("subject", "title"):
        text = f"{{% block {block} %}}Hello{{% endblock %}}{{% block body %}}there{{% endblock %}}"
        found = write({f"w/{block}.push.j2": text}).find("w", block, Channel.PUSH, None).render({})

        assert (found.subject, found.body) == ("Hello", "there")
