"""The round driver: many notifications' coroutines side by side, one group of work a kind of step and round.

It knows neither the store nor Prefect. Bodies advance inside one `loop.call_soon` callback, so there is no current
task that a body could cancel or wait in; each runs in its own `contextvars` context; whatever a body awaits that is
not a step is thrown back at it.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from notify.engine.rounds import LOST as LOST
from notify.engine.rounds import WAITS as WAITS
from notify.engine.rounds import Answer as Answer
from notify.engine.rounds import Ending as Ending
from notify.engine.rounds import Performer as Performer
from notify.engine.rounds import Player as Player
from notify.engine.rounds import Request as Request
from notify.errors import (
    AuthorError,
    AwaitedOutsideStep,
    DuplicateStep,
    Halted,
    InvalidKey,
    StepChanged,
    StepFailed,
    Suspended,
    SuspendedInFinally,
    described,
)
from notify.keys import names_a_step
from notify.model import MessageStatus, NotificationStatus, Remembered, StepState
from notify.steps import All, Decision, Send, Skip, Step

log = logging.getLogger("notify.driver")
#: A body that computes longer than this between two steps holds everybody up; it is reported with its line.
SLOW = 0.1


async def drive(players: Sequence[Player], performer: Performer, stop: Callable[[], bool] = lambda: False) -> None:
    """Run every coroutine to its end or its next wait, in rounds; after `stop` answers True no round begins."""
    alive = list(players)
    if not stop():
        await _in_callback(alive, performer)
        # No round is over yet: what was read for the first one is still good.
        if endings := _endings(alive):
            await performer.finish(endings)
        alive = _going_on(alive)
    while alive and not stop():
        requests = [request for player in alive for request in player.asked]
        for phase in _phases(requests):
            answers = await asyncio.gather(*(_perform(performer, kind, some) for kind, some in _by_kind(phase)))
            _hand_out(alive, (pair for group in answers for pair in group))
        # Who ends does so in the round that answered last, before what it decided goes out.
        await _in_callback(alive, performer)
        await performer.finish(_endings(alive))
        alive = _going_on(alive)
    for player in alive:
        player.context.run(player.coroutine.close)


def _endings(players: Sequence[Player]) -> list[Ending]:
    return [player.ending for player in players if player.ending is not None]


def _going_on(players: Sequence[Player]) -> list[Player]:
    return [player for player in players if not player.done]


#: What may let a notification wait gives its claim back: it comes after whatever else was asked for beside it.
_LATE = {"run": 1, "recheck": 1, "sleep": 2, "delay": 2, "waitforevent": 2, "invoke": 2, "digest": 3}
#: Waits are begun together: the first of them gives the claim back.
_TOGETHER = {"delay": "sleep", "waitforevent": "sleep", "invoke": "sleep"}


def _phases(requests: Sequence[Request]) -> list[list[Request]]:
    phases: dict[int, list[Request]] = {}
    for request in requests:
        phases.setdefault(_LATE.get(request.step.kind, 0), []).append(request)
    return [phases[order] for order in sorted(phases)]


async def _perform(performer: Performer, kind: str, requests: Sequence[Request]) -> list[tuple[Request, Answer]]:
    return list(zip(requests, await performer.perform(kind, requests), strict=True))


def _by_kind(requests: Iterable[Request]) -> Iterable[tuple[str, list[Request]]]:
    kinds: dict[str, list[Request]] = {}
    for request in requests:
        kind = _TOGETHER.get(request.step.kind, request.step.kind)
        kinds.setdefault(kind, []).append(request)
    return kinds.items()


def _hand_out(players: Sequence[Player], answers: Iterable[tuple[Request, Answer]]) -> None:
    by_id = {player.claimed.id: player for player in players}
    for request, answer in answers:
        player = by_id[request.claimed.id]
        player.answers[request.step.key] = answer
        _mark(player, request.step, answer.value)


def _mark(player: Player, step: Step[Any], decision: Any) -> None:
    """A message that could not be made lets its notification fail, also when it is remembered from before a wait."""
    if isinstance(decision, Decision) and decision.status is MessageStatus.FAILED:
        player.failure = {"message": f"{step.key}: {decision.problem or decision.reason}"}


async def _in_callback(players: Sequence[Player], performer: Performer) -> None:
    """Advance everybody from a plain callback of the loop, where no task is current."""
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()

    def callback() -> None:
        if finished.cancelled():
            return
        try:
            for player in players:
                _advance(player, performer)
        except BaseException as error:
            finished.set_exception(error)
        else:
            finished.set_result(None)

    loop.call_soon(callback, context=contextvars.Context())
    await finished


def _advance(player: Player, performer: Performer) -> None:
    """Answer from memory until the body asks for something new, waits or ends."""
    player.asked = []
    while not player.done:
        try:
            answer = _answer(player)
            request = _send(player, answer)
            _note(player, request, performer)
        except StopIteration as end:
            _end(player, end.value)
        except Halted as halted:
            _end(player, Skip(halted.reason))
        except SuspendedInFinally as error:
            player.ending = Ending(player.claimed, NotificationStatus.FAILED, "raised", described(error), waits=True)
        except AuthorError as error:
            _fail(player, error, again=False)
        except (Exception, AwaitedOutsideStep) as error:
            _fail(player, error, again=not isinstance(error, AwaitedOutsideStep))
        if player.asked:
            return


def _answer(player: Player) -> Answer:
    """The answers to what the body last asked for, folded into one."""
    if player.group is None:
        return Answer()
    several = player.group.steps if isinstance(player.group, All) else (player.group,)
    answers = [player.answers[step.key] for step in several]
    worst = max(answers, key=_gravity, default=Answer())
    if _gravity(worst):
        return worst
    values = [answer.value for answer in answers]
    return Answer(values if isinstance(player.group, All) else values[0])


def _gravity(answer: Answer) -> int:
    """A lost claim decides over a wait, a wait over an error, an error over values."""
    return 3 if answer.lost else 2 if answer.waits else 1 if answer.error is not None else 0


def _send(player: Player, answer: Answer) -> Any:
    started = time.perf_counter()
    try:
        if answer.lost or answer.waits:
            return _suspend(player)
        if answer.error is not None:
            return player.context.run(player.coroutine.throw, answer.error)
        return player.context.run(player.coroutine.send, answer.value)
    finally:
        _report_slowness(player, time.perf_counter() - started)


def _report_slowness(player: Player, seconds: float) -> None:
    if seconds > SLOW:
        frame = getattr(player.coroutine, "cr_frame", None)
        line = f"line {frame.f_lineno}" if frame else "its end"
        log.warning("%s held everybody up for %.2f s before %s", player.claimed.workflow, seconds, line)


def _suspend(player: Player) -> None:
    """The wait is written already; the body learns of it so that its `finally` blocks run."""
    player.gone = True
    try:
        again = player.context.run(player.coroutine.throw, Suspended())
    except (Suspended, StopIteration):
        return
    except BaseException:
        log.warning("%s raised while it was being suspended", player.claimed.workflow, exc_info=True)
        return
    player.gone = False
    key = getattr(again, "key", "?")
    player.coroutine.close()
    raise SuspendedInFinally(workflow=player.claimed.workflow, key=key)


def _note(player: Player, request: Any, performer: Performer) -> None:
    """Take what the body awaits: answer each step from memory where it is remembered, ask for the others."""
    if player.gone:
        return
    if not isinstance(request, Step | All):
        _throw_back(player, request)
        return
    group = cast("Step[Any] | All[Any]", request)
    player.group = group
    player.answers = {}
    several: Sequence[Step[Any]] = group.steps if isinstance(group, All) else (group,)
    for step in several:
        _use(player, step)
    memo = player.claimed.memo
    places = {key: place for place, key in enumerate(memo)}
    player.place = max([player.place, *(places[step.key] for step in several if step.key in places)])
    for step in several:
        remembered = memo.get(step.key)
        if remembered is not None and remembered.kind != step.kind:
            raise StepChanged(key=step.key, workflow=player.claimed.workflow, was=remembered.kind, now=step.kind)
        if remembered is None or remembered.state is StepState.PENDING:
            past = remembered is None and _has_more(player)
            player.asked.append(Request(player.claimed, step, past))
        else:
            player.answers[step.key] = _from_memory(player, step, remembered, performer)
            _mark(player, step, player.answers[step.key].value)


def _has_more(player: Player) -> bool:
    """Whether it remembers steps that are still ahead of it, so that one without memory is new code in its past."""
    beyond = list(player.claimed.memo.values())[player.place + 1 :]
    return any(one.state is not StepState.PENDING and one.key not in player.gone_steps for one in beyond)


def _throw_back(player: Player, awaited: Any) -> None:
    name = "asyncio.sleep(0) or a bare yield" if awaited is None else type(awaited).__name__
    try:
        player.context.run(player.coroutine.throw, AwaitedOutsideStep(name))
    finally:
        player.coroutine.close()
    raise AwaitedOutsideStep(name)


def _use(player: Player, step: Step[Any]) -> None:
    key: Any = step.step if isinstance(step, Send) else step.key
    if not names_a_step(key):
        raise InvalidKey(key=key, kind=step.kind, workflow=player.claimed.workflow)
    if step.key in player.used:
        raise DuplicateStep(key=step.key, workflow=player.claimed.workflow)
    player.used.add(step.key)
    player.sent = player.sent or isinstance(step, Send)


def _from_memory(player: Player, step: Step[Any], remembered: Remembered, performer: Performer) -> Answer:
    if remembered.state is StepState.FAILED and not isinstance(step, Send):
        return Answer(error=StepFailed(key=step.key, problem=(remembered.error or {}).get("message", "unknown")))
    if remembered.state is StepState.SKIPPED and "halted" in (remembered.value or {}):
        return Answer(error=Halted(remembered.value["halted"]))
    try:
        return Answer(performer.recollect(player.claimed, step, remembered))
    except StepFailed as error:
        return Answer(error=error)


def _end(player: Player, result: Any) -> None:
    if player.gone:
        return
    if player.failure is not None:
        player.ending = Ending(player.claimed, NotificationStatus.FAILED, "channel_failed", player.failure)
        return
    reason = result.reason if isinstance(result, Skip) else None if player.sent else "nothing_sent"
    value = None if isinstance(result, Skip) else result
    player.ending = Ending(player.claimed, NotificationStatus.COMPLETED, reason, result=value)


#: Where asyncio says that it finds no current task.
_NEEDS_TASK = ("asyncio/timeouts.py", "asyncio/taskgroups.py")


def _needs_task(error: BaseException) -> bool:
    frames = list(traceback.walk_tb(error.__traceback__))
    return isinstance(error, RuntimeError) and frames[-1][0].f_code.co_filename.endswith(_NEEDS_TASK)


def _fail(player: Player, error: BaseException, *, again: bool) -> None:
    if _needs_task(error):
        error, again = AwaitedOutsideStep(f"asyncio ({error})"), False
    again = again and player.claimed.tries < player.retries
    player.ending = Ending(player.claimed, NotificationStatus.FAILED, "raised", described(error), again)
