"""What the one-word reasons of the log mean, as a sentence for people. An author's own reasons speak for themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from notify.planning import Reason

SENTENCES: Mapping[str, str] = {
    Reason.MISSING_ADDRESS: "the person has no address for this channel",
    Reason.WORKFLOW_OFF: "the workflow switches this channel off for everybody",
    Reason.CHANNEL_NOT_ASKED_FOR: "whoever triggered it named other channels",
    Reason.OPTED_OUT_OF_ALL: "the person switched this channel off for every workflow",
    Reason.OPTED_OUT: "the person switched this channel off for this workflow",
    Reason.NO_INTEGRATION: "no active integration sends on this channel",
    Reason.NOT_RENDERED: "the template could not be filled in",
    Reason.ADDED_AFTER_START: "the step is newer than this notification",
    Reason.QUIET_HOURS: "it came outside the hours in which the person may be disturbed",
    Reason.OVER_BUDGET: "the person had got as many messages as the budget allows",
    Reason.OVER_BUDGET_DIGESTED: "the person had got as many messages as the budget allows, so a digest tells of it",
    "rejected": "the provider refused it for good",
    "no_answer": "the provider never said whether it took it",
    "gave_up": "every try failed",
    "merged_into_digest": "its event is told by the digest's carrier",
    "throttled": "as many as its throttle lets pass had passed for this person",
    "digest_empty": "everything in it was withdrawn before it was sent",
    "nothing_sent": "the workflow ended without a message",
    "channel_failed": "a message could not be made",
    "invalid_payload": "the event lacks what the workflow needs",
    "cancelled": "it was cancelled",
    "cancelled_in_prefect": "its flow run was cancelled in Prefect",
    "no_workflow": "no workflow listens to this event",
    "unknown_workflow": "no workflow has this id",
    "no_recipient": "it concerned nobody",
    "resolver_failed": "the workflow could not say whom it concerns",
    "invalid_recipient": "the workflow named somebody unusable",
}

#: The gates of a channel step in the order in which they are asked, and the reasons that close each.
GATES: Sequence[tuple[str, frozenset[str]]] = (
    ("step", frozenset({Reason.ADDED_AFTER_START})),
    ("address", frozenset({Reason.MISSING_ADDRESS})),
    ("workflow", frozenset({Reason.WORKFLOW_OFF, Reason.CHANNEL_NOT_ASKED_FOR})),
    ("person", frozenset({Reason.OPTED_OUT_OF_ALL, Reason.OPTED_OUT})),
    ("integration", frozenset({Reason.NO_INTEGRATION})),
    ("template", frozenset({Reason.NOT_RENDERED})),
    ("hours", frozenset({Reason.QUIET_HOURS})),
    ("budget", frozenset({Reason.OVER_BUDGET, Reason.OVER_BUDGET_DIGESTED})),
)


def sentence(reason: str | None) -> str:
    """The reason as a clause, followed by its word where that is searched for in the log; '' for None."""
    if reason is None:
        return ""
    known = SENTENCES.get(reason)
    return f"{known} ({reason})" if known else reason.replace("_", " ")


def gates(reason: str | None) -> str:
    """How far a channel step came: `address ✓ workflow ✓ person ✗`. A reason of no gate passed them all."""
    passed: list[str] = []
    for name, closing in GATES[1:] if reason != Reason.ADDED_AFTER_START else GATES:
        if reason in closing:
            return " ".join([*passed, f"{name} ✗"])
        passed.append(f"{name} ✓")
    return " ".join(passed)
