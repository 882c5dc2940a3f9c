"""People, recipients and choices from untrusted input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from notify.errors import InvalidInput
from notify.intake.values import kept_text, object_of, plain, text_of
from notify.model import Channel, JsonObject, Preference
from notify.timing import dump, hours, known_zone


def channel(name: Any, field: str) -> Channel:
    """The channel of that name."""
    try:
        return Channel(name)
    except (ValueError, TypeError):
        raise InvalidInput(
            field=field, problem=f"no channel is called {name!r}", remedy=f"Use one of {', '.join(Channel)}"
        ) from None


_PERSON = {
    "email": "email",
    "phone": "phone",
    "firstName": "first_name",
    "lastName": "last_name",
    "avatar": "avatar",
    "locale": "locale",
    "timezone": "timezone",
    "data": "data",
    "channels": "channels",
    "schedule": "schedule",
}


#: Characters a person's e-mail address, name or picture may have.
_LONGEST = 2000


def parse_recipients(to: Any, field: str) -> list[dict[str, Any]]:
    """Recipients as rows for the store, each with an `id`: from ids, subscriber objects, or a list mixing both."""
    several = list(to) if isinstance(to, list | tuple | set | frozenset) else [] if to is None else [to]  # pyright: ignore
    return [_recipient(one, f"{field}[{place}]") for place, one in enumerate(several)]  # pyright: ignore


def _recipient(one: Any, field: str) -> dict[str, Any]:
    if isinstance(one, str):
        return {"id": _subscriber_id(one, field)}
    if isinstance(one, Mapping) and "subscriberId" in one:
        return parse_subscriber(one, field)[0]
    raise InvalidInput(
        field=field, problem=f"{one!r} names nobody", remedy='Use an id, or {"subscriberId": "…", "email": "…"}'
    )


def _subscriber_id(value: Any, field: str) -> str:
    return text_of(value, field)


def parse_subscriber(raw: Any, field: str = "subscriber") -> tuple[dict[str, Any], list[Preference]]:
    """A person and their choices from `{"subscriberId": …, "email": …, …, "preferences": […]}`.

    Only the fields given are in the row, so that the others keep their stored values.
    """
    person = object_of(raw, field)
    known = {"subscriberId", "preferences", *_PERSON}
    unknown = sorted(set(person) - known)
    if unknown:
        raise InvalidInput(
            field=f"{field}.{unknown[0]}", problem="not a field of a person", remedy="Put it into `data`"
        )
    id_ = _subscriber_id(person.get("subscriberId"), f"{field}.subscriberId")
    row = {column: _person_value(name, person[name], field) for name, column in _PERSON.items() if name in person}
    chosen = _list(person.get("preferences"), f"{field}.preferences")
    choices = [_choice(id_, one, f"{field}.preferences[{place}]") for place, one in enumerate(chosen)]
    return {"id": id_, **row}, choices


def _list(value: Any, field: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise InvalidInput(field=field, problem=f"must be a list, not {type(value).__name__}", remedy="Write […]")
    return list(cast("list[Any]", value))


def parse_schedule(raw: Any, field: str) -> JsonObject | None:
    """When messages may reach a person, as it is stored; None is always."""
    return None if raw is None else dump(hours(raw, field))


def parse_presence(raw: Any) -> dict[str, bool]:
    """Who is connected, by id: `{"ann": true, "bob": false}`."""
    said = {_subscriber_id(id_, "presence"): value for id_, value in object_of(raw, "presence").items()}
    for id_, value in said.items():
        if not isinstance(value, bool):
            problem = f"{value!r} is not true or false"
            raise InvalidInput(field=f"presence.{id_}", problem=problem, remedy="Say whether the person is connected")
    return said


def _person_value(name: str, value: Any, field: str) -> Any:
    if name == "schedule":
        return parse_schedule(value, f"{field}.schedule")
    expected: type[Any] = {"data": dict, "channels": list}.get(name, str)
    if value is None:
        return None if expected is str else expected()
    if not isinstance(value, expected):
        raise InvalidInput(
            field=f"{field}.{name}",
            problem=f"must be {expected.__name__}, not {type(value).__name__}",
            remedy="Correct it",
        )
    if name == "channels":
        return [
            object_of(one, f"{field}.channels[{place}]") for place, one in enumerate(plain(value, f"{field}.channels"))
        ]
    if expected is not str:
        return plain(value, f"{field}.{name}")
    text = kept_text(value, f"{field}.{name}", _LONGEST)
    return known_zone(text, f"{field}.{name}") if name == "timezone" and text else text


def _choice(subscriber: str, raw: Any, field: str) -> Preference:
    one = object_of(raw, field)
    enabled = one.get("enabled")
    if not isinstance(enabled, bool):
        raise InvalidInput(field=f"{field}.enabled", problem=f"{enabled!r} is not true or false", remedy="Correct it")
    workflow = one.get("workflow")
    named = None if workflow is None else text_of(workflow, f"{field}.workflow")
    return Preference(subscriber, named, channel(one.get("channel"), f"{field}.channel"), enabled)
