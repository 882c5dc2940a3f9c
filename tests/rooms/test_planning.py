"""Who is told on which channel, and why not."""

from __future__ import annotations

from itertools import product

import pytest

from notify.model import Channel, Preference
from notify.planning import Choices, Reason, why_not

NOTHING = Choices({}, {})


def choices(everywhere: bool | None, here: bool | None) -> Choices:
    return Choices({} if everywhere is None else {"ann": everywhere}, {} if here is None else {"ann": here})


def test_a_message_goes_exactly_where_every_gate_is_open() -> None:
    chosen = (None, True, False)
    table = product((Channel.EMAIL, Channel.PUSH), (True, False), chosen, (True, False), chosen, chosen)

    wrong: list[object] = []
    for channel, reachable, workflow, critical, everywhere, here in table:
        reason = why_not(
            "ann",
            channel,
            addresses=["somewhere"] if reachable else [],
            workflow={} if workflow is None else {channel: workflow},
            critical=critical,
            choices=choices(everywhere, here),
        )
        sent = reachable and workflow is not False and (critical or (everywhere is not False and here is not False))
        if (reason is None) is not sent:
            wrong.append((channel, reachable, workflow, critical, everywhere, here, reason))

    assert wrong == []


def test_channels_asked_for_stand_in_for_what_a_person_chose_but_not_for_the_workflow() -> None:
    chosen = (None, True, False)
    asked: tuple[list[str], ...] = (["email"], ["email", "push"], ["push"], [])
    table = product((True, False), chosen, (True, False), chosen, chosen, asked)

    wrong: list[object] = []
    for reachable, workflow, critical, everywhere, here, channels in table:
        reason = why_not(
            "ann",
            Channel.EMAIL,
            addresses=["ann@example.com"] if reachable else [],
            workflow={} if workflow is None else {Channel.EMAIL: workflow},
            critical=critical,
            choices=choices(everywhere, here),
            asked_for=channels,
        )
        if (reason is None) is not (reachable and workflow is not False and "email" in channels):
            wrong.append((reachable, workflow, critical, everywhere, here, channels, reason))

    assert wrong == []


@pytest.mark.parametrize(
    ("reachable", "workflow", "everywhere", "here", "asked_for", "reason"),
    [
        (False, False, False, False, ["push"], Reason.MISSING_ADDRESS),
        (True, False, False, False, ["push"], Reason.WORKFLOW_OFF),
        (True, True, False, False, ["push"], Reason.CHANNEL_NOT_ASKED_FOR),
        (True, True, False, False, None, Reason.OPTED_OUT_OF_ALL),
        (True, True, False, True, None, Reason.OPTED_OUT_OF_ALL),
        (True, True, True, False, None, Reason.OPTED_OUT),
        (True, True, True, True, None, None),
    ],
)
def test_the_first_closed_gate_gives_the_reason(
    reachable: bool, workflow: bool, everywhere: bool, here: bool, asked_for: list[str] | None, reason: Reason | None
) -> None:
    answer = why_not(
        "ann",
        Channel.EMAIL,
        addresses=["ann@example.com"] if reachable else [],
        workflow={Channel.EMAIL: workflow},
        critical=False,
        choices=choices(everywhere, here),
        asked_for=asked_for,
    )

    assert answer is reason


def test_the_inbox_needs_no_address() -> None:
    assert why_not("ann", Channel.IN_APP, addresses=[], workflow={}, critical=False, choices=NOTHING) is None


def test_choices_are_sorted_by_level_and_by_person() -> None:
    made = [
        Preference("ann", None, Channel.EMAIL, False),
        Preference("bob", "digest", Channel.EMAIL, False),
        Preference("bob", None, Channel.EMAIL, True),
    ]

    sorted_ = Choices.of(made, Channel.EMAIL)

    assert (dict(sorted_.everywhere), dict(sorted_.here)) == ({"ann": False, "bob": True}, {"bob": False})


def test_one_person_s_choice_is_nobody_else_s() -> None:
    chosen = Choices.of(
        [Preference("ann", None, Channel.EMAIL, False), Preference("ann", "x", Channel.EMAIL, False)], Channel.EMAIL
    )

    assert why_not("bob", Channel.EMAIL, addresses=["b@x"], workflow={}, critical=False, choices=chosen) is None
