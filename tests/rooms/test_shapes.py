"""What a workflow's source shows of its steps, without running it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from notify.model import Event, EventKind, Remembered, StepState, Subscriber
from notify.notification import Notification
from notify.shapes import Shape, Shown, kept, read
from notify.shapes.reading import METHODS
from notify.steps import Step

_HEAD = "from datetime import UTC, datetime, timedelta\nfrom typing import Any\nimport asyncio\n"
AT = datetime(2026, 1, 15, tzinfo=UTC)


@pytest.fixture
def shape(tmp_path: Path) -> Callable[..., Shape]:
    """The shape of the function `body` in a source text."""
    made: list[Path] = []

    def shape_of(source: str, **parameters: Any) -> Shape:
        made.append(tmp_path / f"flow_{len(made)}.py")
        made[-1].write_text(_HEAD + dedent(source))
        spec = importlib.util.spec_from_file_location(made[-1].stem, made[-1])
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return read(module.body, parameters)

    return shape_of


def _steps(shape: Shape) -> list[tuple[str, str]]:
    return [(one.key, one.kind) for one in shape.steps]


#: A call of everything a notification can be asked for; a new one is added here.
CALLS: Mapping[str, str] = {
    "in_app": 'n.in_app("x")',
    "email": 'n.email("x", burst=n.payload)',
    "sms": 'n.sms("x")',
    "push": 'n.push("x")',
    "run": 'n.run("x", print, n.payload)',
    "emit": 'n.emit("it/happened", {})',
    "trigger": 'n.trigger("other", to="ann")',
    "invoke": 'n.invoke("other", key="x")',
    "sleep": 'n.sleep("x", hours=1)',
    "sleep_until": 'n.sleep_until("x", at="09:00")',
    "delay": 'n.delay("x", "3d")',
    "wait_for_event": 'n.wait_for_event("x", "it/happened", days=1)',
    "digest": 'n.digest("x", minutes=15)',
    "throttle": 'n.throttle("x", minutes=15)',
    "is_read": 'n.is_read("hello", at="x")',
    "is_seen": 'n.is_seen("hello", at="x")',
    "is_online": 'n.is_online(at="x")',
}


@pytest.mark.parametrize("method", METHODS)
def test_every_step_is_shown_as_what_it_is(method: str, shape: Callable[..., Shape]) -> None:
    event = Event("", EventKind.EVENT, "", {}, AT, AT)
    n = Notification[Any](id="", event=event, payload={}, subscriber=Subscriber("ann"), started_at=AT, parameters={})
    asked: Step[Any] = eval(CALLS[method], {"n": n})

    found = shape(f"async def body(n: Any) -> None:\n    await {CALLS[method]}\n")

    assert _steps(found) == [(asked.key, asked.kind)]
    assert found.whole


def test_steps_come_in_the_order_of_the_source_those_of_an_all_together(shape: Callable[..., Shape]) -> None:
    found = shape("""
    async def body(n: Any) -> None:
        if await n.is_read("hello", at="look"):
            await n.all(n.email("a"), n.sleep("b", hours=1))
        else:
            await n.push("c", task=await n.run("d", print))
        await n.all(n.push("e"))
        return n.skip("over")
    """)

    assert [(one.key, one.group) for one in found.steps] == [
        ("look", 0),
        ("a.email", 1),
        ("b", 1),
        ("d", 0),
        ("c.push", 0),
        ("e.push", 2),
    ]


def test_keys_may_come_from_constants_parameters_and_what_surrounds_the_body(shape: Callable[..., Shape]) -> None:
    found = shape(
        """
    NAME = "named"

    class Keys:
        PAUSE = "pause"

    def make(key: str) -> Any:
        async def body(n: Any) -> None:
            await n.run(NAME, print)
            await n.run(Keys.PAUSE, print)
            await n.run(n.parameters["key"], print)
            await n.run(key, print)
            await n.emit("it/happened", {}, key=f"{key}-{NAME}")
        return body

    body = make("closed")
    """,
        key="parameter",
    )

    assert [one.key for one in found.steps] == ["named", "pause", "parameter", "closed", "closed-named"]
    assert found.whole


def test_what_a_key_depends_on_is_left_open(shape: Callable[..., Shape]) -> None:
    found = shape("""
    async def body(n: Any) -> None:
        for turn in range(3):
            await n.sleep(f"pause-{turn}", hours=1)
        await n.email(n.payload["what"])
    """)

    assert _steps(found) == [("pause-…", "sleep"), ("….email", "email")]
    assert not found.lacks("pause-1", "sleep")
    assert found.lacks("pause", "sleep")
    assert found.lacks("pause-1", "run")
    assert not found.lacks("hello.email", "email")


def test_functions_that_get_the_notification_are_read_with_what_they_are_given(shape: Callable[..., Shape]) -> None:
    found = shape("""
    async def remind(n: Any, key: str, *, hours: int, last: str = "due") -> None:
        await n.sleep(key, hours=hours)
        await n.email(last)

    async def body(n: Any) -> None:
        await remind(n, "first", hours=2)
        await remind(key="second", n=n, hours=1, last="over")
    """)

    assert [one.key for one in found.steps] == ["first", "due.email", "second", "over.email"]
    assert found.whole


@pytest.mark.parametrize(
    "line",
    [
        "await asyncio.wait_for(n, 1)",
        "send = n.email",
        "m = n",
        "await (lambda n: n.email('x'))(n)",
        "await getattr(n, 'email')('x')",
        "n = n or None",
        "await body(*[n])",
        "await gathered(n)",
    ],
)
def test_what_cannot_be_followed_leaves_the_shape_in_part(line: str, shape: Callable[..., Shape]) -> None:
    source = f"async def gathered(*all: Any) -> None: ...\nasync def body(n: Any) -> None:\n    {line}\n"
    found = shape(source)

    assert not found.whole
    assert not found.lacks("anything", "sleep")


def test_a_function_that_calls_itself_is_read_once(shape: Callable[..., Shape]) -> None:
    found = shape("""
    async def body(n: Any) -> None:
        await n.run("x", print)
        await body(n)
    """)

    assert (_steps(found), found.whole) == ([("x", "run")], True)


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        ("minutes=15", {"mode": "fixed", "seconds": 900}),
        ("minutes=15, capacity=3", {"mode": "fixed", "seconds": 900, "capacity": 3}),
        ('minutes=n.parameters["minutes"], key=n.payload["task"]', {"mode": "fixed", "seconds": 1800}),
        ('debounce="15m", max_wait="2h"', {"mode": "debounce", "seconds": 900, "max": 7200}),
        ('at="09:00", weekdays="mon"', {"mode": "calendar", "slots": "every Monday at 09:00"}),
        ('minutes=n.payload["minutes"]', None),
        ("**n.payload", None),
        ("minutes=-1", None),
    ],
)
def test_a_digest_says_for_how_long_it_collects_where_the_source_does(
    call: str, rule: Any, shape: Callable[..., Shape]
) -> None:
    found = shape(f"async def body(n: Any) -> None:\n    await n.digest('x', {call})\n", minutes=30)

    assert found.steps == (Shown("x", "digest", rule),)


def test_a_digest_shows_the_steps_it_asks_for_itself(shape: Callable[..., Shape]) -> None:
    found = shape(
        "async def body(n: Any) -> None:\n    await n.digest('x', hours=1, unless=print, extend_to_schedule=True)\n"
    )

    assert _steps(found) == [("x", "digest"), ("x.open", "sleep"), ("x.unless", "recheck")]


def test_the_hash_is_of_what_the_code_does(shape: Callable[..., Shape]) -> None:
    plain = "async def body(n: Any) -> None:\n    await n.run('x', print)\n"
    said = 'async def body(n: Any) -> None:\n    """Says something."""\n    # and more\n    await n.run( "x", print )\n'
    helping = "async def help(n: Any) -> None:\n    await n.run('x', {})\n"
    helped = helping + "async def body(n: Any) -> None:\n    await help(n)\n"

    assert shape(plain).code == shape(said).code
    assert shape(plain).code != shape(plain.replace("print", "len")).code
    assert shape(helped.format("print")).code != shape(helped.format("len")).code


def test_it_is_kept_as_json_and_what_was_not_kept_is_unknown(shape: Callable[..., Shape]) -> None:
    found = shape("async def body(n: Any) -> None:\n    await n.digest('x', minutes=15)\n")

    again = kept(found.as_json())

    assert (again.steps, again.whole, again.code) == (found.steps, True, found.code)
    assert not kept(None).lacks("x", "digest")


def test_a_remembered_step_is_gone_or_of_another_kind() -> None:
    shape = Shape((Shown("x", "digest"), Shown("….email", "email")), whole=True)
    steps = [("x", "sleep"), ("a.email", "email"), ("b", "run")]
    memo = {key: Remembered(key, kind, StepState.COMPLETED, None, None, AT) for key, kind in steps}

    assert shape.gone(memo) == {"x", "b"}
    assert [shape.became(*step) for step in steps] == ["digest", None, None]
