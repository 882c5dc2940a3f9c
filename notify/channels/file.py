"""Messages as files: everything runs and can be read without an account anywhere."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from notify import clock
from notify.channels import base, mail, mime
from notify.model import Channel, Dispatch, Outcome, OutcomeKind
from notify.settings import Settings

#: The keys of `content.extra` a push message may have.
_PUSH_EXTRAS = frozenset({"data", "image", "icon"})


class FileProvider:
    """Writes `<settings.sent>/<channel>/<dispatch id>.eml` for e-mail, `.json` for push and SMS.

    A file appears whole or not at all, and sending an id again replaces its file: idempotent. A full or read-only
    disk is RETRY. Files are not forced to the disk one by one, so a power failure may lose the last ones.
    """

    id = "file"
    idempotent = True

    def __init__(self, settings: Settings, channel: Channel, *, timeout: float = 30, concurrency: int = 1000) -> None:
        """`timeout` is for a batch: a batch is one piece of work in one thread. E-mail, push and SMS only."""
        self.channel = channel
        self.timeout = timeout
        self.concurrency = concurrency
        self._folder = settings.sent / channel
        self._suffix, self._render = _format(settings, channel)

    async def send(self, dispatches: Sequence[Dispatch]) -> list[Outcome]:
        """Write them all; where the disk hangs, what was not written in time is UNKNOWN."""
        late = Outcome(OutcomeKind.UNKNOWN, detail=f"{self._folder} did not answer within {self.timeout:g} s")
        outcomes = [late] * len(dispatches)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.timeout):
                await asyncio.to_thread(self._write_all, dispatches, outcomes)
        # A copy: a thread that was given up goes on and may still fill the list.
        return outcomes.copy()

    async def aclose(self) -> None:
        """Nothing is open between batches."""

    def _write_all(self, dispatches: Sequence[Dispatch], outcomes: list[Outcome]) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            outcomes[:] = [_unwritten(problem)] * len(dispatches)
            return
        for place, dispatch in enumerate(dispatches):
            outcomes[place] = self._write(dispatch)

    def _write(self, dispatch: Dispatch) -> Outcome:
        try:
            content = self._render(dispatch)
            path = self._folder / f"{dispatch.id}{self._suffix}"
            replace(path, content)
        except OSError as problem:
            return _unwritten(problem)
        except Exception as problem:
            return base.surprise(problem)
        return Outcome(OutcomeKind.ACCEPTED, provider_message_id=path.name, detail=str(path))


def replace(path: Path, content: bytes) -> None:
    """Write `path` so that a reader sees the old file, or none, or the whole new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _unwritten(problem: OSError) -> Outcome:
    return Outcome(OutcomeKind.RETRY, detail=f"not written: {base.describe(problem)}")


def _format(settings: Settings, channel: Channel) -> tuple[str, Callable[[Dispatch], bytes]]:
    if channel in _PAGES:
        return ".json", _PAGES[channel]
    if channel is not Channel.EMAIL:
        raise ValueError(f"the file provider writes e-mail, push and SMS, not {channel}")
    sender = mail.Sender.of(settings)
    return ".eml", lambda dispatch: mime.compose(mail.read(dispatch, FileProvider.id), sender)


def _push(dispatch: Dispatch) -> bytes:
    base.check(dispatch, FileProvider.id, channel=Channel.PUSH, extras=_PUSH_EXTRAS)
    content = dispatch.content
    return _page(dispatch, token=dispatch.address, title=content.subject, body=content.body, extra=content.extra)


def _sms(dispatch: Dispatch) -> bytes:
    base.check(dispatch, FileProvider.id, channel=Channel.SMS, extras=())
    return _page(dispatch, phone=dispatch.address, body=dispatch.content.body)


_PAGES: Mapping[Channel, Callable[[Dispatch], bytes]] = {Channel.PUSH: _push, Channel.SMS: _sms}


def _page(dispatch: Dispatch, **told: object) -> bytes:
    page = {
        "id": dispatch.id,
        **told,
        "workflow": dispatch.workflow,
        "subscriber": dispatch.subscriber,
        "attempt": dispatch.attempt,
        "date": clock.now().isoformat(),
    }
    try:
        # ASCII escapes keep even half an emoji readable by every JSON reader.
        return json.dumps(page, indent=2, default=_plain).encode()
    except (TypeError, ValueError) as problem:
        raise base.Unsendable(f"the content is not JSON: {problem}") from problem


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    raise TypeError(f"{type(value).__name__} has no JSON form")
