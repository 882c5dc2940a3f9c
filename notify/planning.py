"""Who is told on which channel, and why not. Pure: the engine brings the facts and keeps the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from notify.model import Channel, Preference


class Reason(StrEnum):
    """Why a channel step told somebody nothing, or nothing yet."""

    MISSING_ADDRESS = "missing_address"
    WORKFLOW_OFF = "workflow_off"
    OPTED_OUT_OF_ALL = "opted_out_of_all"
    OPTED_OUT = "opted_out"
    CHANNEL_NOT_ASKED_FOR = "channel_not_asked_for"
    NO_INTEGRATION = "no_integration"
    NOT_RENDERED = "not_rendered"
    ADDED_AFTER_START = "added_after_start"
    QUIET_HOURS = "quiet_hours"
    OVER_BUDGET = "over_budget"
    OVER_BUDGET_DIGESTED = "over_budget_digested"


@dataclass(frozen=True, slots=True)
class Choices:
    """What people chose for one channel of one workflow; who chose nothing is told."""

    everywhere: Mapping[str, bool]
    here: Mapping[str, bool]

    @classmethod
    def of(cls, preferences: Iterable[Preference], channel: Channel) -> Choices:
        """Those that concern the channel, sorted by level."""
        everywhere: dict[str, bool] = {}
        here: dict[str, bool] = {}
        for one in preferences:
            if one.channel is not channel:
                continue
            (here if one.workflow else everywhere)[one.subscriber] = one.enabled
        return cls(everywhere, here)


def why_not(
    subscriber: str,
    channel: Channel,
    *,
    addresses: Sequence[str],
    workflow: Mapping[Channel, bool],
    critical: bool,
    choices: Choices,
    asked_for: Sequence[str] | None = None,
) -> Reason | None:
    """The first gate that is closed, or None: address, then workflow and (critical or (global and per workflow)).

    `asked_for` are the channels a direct send named: they stand in for the person's own choices.
    """
    if channel is not Channel.IN_APP and not addresses:
        return Reason.MISSING_ADDRESS
    if not workflow.get(channel, True):
        return Reason.WORKFLOW_OFF
    if asked_for is not None:
        return None if channel in asked_for else Reason.CHANNEL_NOT_ASKED_FOR
    if critical:
        return None
    if not choices.everywhere.get(subscriber, True):
        return Reason.OPTED_OUT_OF_ALL
    return None if choices.here.get(subscriber, True) else Reason.OPTED_OUT
