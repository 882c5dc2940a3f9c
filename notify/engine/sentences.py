"""What a batch came to, as the sentence of its flow run's last state."""

from __future__ import annotations

from notify.engine.work import Tally


def people(count: int) -> str:
    """`1 person`, `412 people`."""
    return "1 person" if count == 1 else f"{count} people"


def sentence(tally: Tally) -> str:
    """What a batch came to: `499 people, 998 messages, 12 × email opted_out, 1 failed, 3 waiting`."""
    if not tally.notifications:
        return "Nothing was ready"
    told = sum(count for (_, status), count in tally.decisions.items() if status == "told")
    skipped: dict[str, int] = {}
    for (channel, status), count in tally.decisions.items():
        if status != "told":
            skipped[f"{channel} {status}"] = count
    parts = [f"{people(len(tally.people))}, {told} message{'' if told == 1 else 's'}"]
    parts += [f"{count} × {reason}" for reason, count in sorted(skipped.items())]
    parts += [f"{tally.endings['failed']} failed"] if tally.endings.get("failed") else []
    parts += [f"{tally.waiting} waiting"] if tally.waiting else []
    return ", ".join(parts)


def remedy(tally: Tally) -> str:
    """What failed most often, and what to do: `assigned.email: … line 3: `taskUrl` is missing. Mend it and retry`."""
    (problem, _), *others = tally.failures.most_common()
    more = f" (and {len(others)} other {'failure' if len(others) == 1 else 'failures'})" if others else ""
    return f"{problem.rstrip('.')}{more}. Mend it and retry this run: only what failed is done again."


def stopped(tally: Tally) -> str:
    """How far a cancelled run had come: `Stopped: 20 of 500 notifications were done (…); 480 cancelled, …`."""
    ended = len(tally.notifications - tally.cancelled)
    every = len(tally.notifications | tally.cancelled)
    return (
        f"Stopped: {ended} of {every} notifications were done ({sentence(tally)}); {len(tally.cancelled)} cancelled, "
        "messages already with a provider are not recalled"
    )
