"""Every deliberate failure. The class docstring is the sentence a person reads; the fields are the facts."""

from __future__ import annotations

import string
import traceback
from typing import Any


class NotifyError(Exception):
    """Something went wrong."""

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(str(self))

    def __str__(self) -> str:
        sentence = " ".join((type(self).__doc__ or "").split())
        return string.Formatter().vformat(sentence, (), _Facts(self.facts))

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["facts"][name]
        except KeyError:
            raise AttributeError(name) from None


class _Facts(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return f"({key} unknown)"


# --- a user's mistake: refused before anything is written ---------------------------------------


class InvalidInput(NotifyError):
    """{field}: {problem}. {remedy}"""


class InvalidEvent(InvalidInput):
    """{field}: {problem}. {remedy}"""


class PayloadTooLarge(InvalidInput):
    """{field}: {actual:,} bytes, at most {allowed:,} are allowed. Send a reference instead of the content itself."""


class UnknownWorkflow(InvalidInput):
    """No workflow is called {workflow!r}. Known here: {known}.
    Check the spelling, or set NOTIFY_FLOWS to its folder."""


class InvalidWorkflow(NotifyError):
    """{where}: {problem}. {remedy}"""


class BrokenWorkflowFile(NotifyError):
    """{file}:{line}: {problem}. The other workflows go on; save the file again when it is mended."""


class InvalidSetting(NotifyError):
    """{name}={value!r}: {problem}. {remedy}"""


class NotInTransaction(NotifyError):
    """The connection is in autocommit mode, so the event could not roll back with your rows.
    Begin a transaction first, or leave connection= out."""


class NotTheStore(NotifyError):
    """The connection given belongs to {theirs}, which is not the store ({ours}) and has no table notify_outbox.
    Install it with `notify db outbox {url}` and name that database in NOTIFY_OUTBOX_URLS, or leave connection= out."""


class OutOfReach(NotTheStore):
    """The connection given belongs to an in-memory database, which no worker can read.
    Use a database of its own, or leave connection= out."""


class NoSuchOutbox(NotifyError):
    """There is no table notify_outbox. Install it with `notify db outbox {url}`."""


# --- the author's code ---------------------------------------------------------------------------


class AuthorError(NotifyError):
    """A workflow's code broke a rule of the engine."""


class DuplicateStep(AuthorError):
    """Step {key!r} is used twice in {workflow!r}. Give each step a key of its own."""


class InvalidKey(AuthorError):
    """The key {key!r:.40} of a step ({kind}) of {workflow!r} cannot be kept.
    Write a text that tells it from the others, such as f"order-{{number}}", of at most 400 characters."""


class NotAwaited(AuthorError):
    """{what} was asked whether it is true, and has no answer before it is awaited. Write `await` before it."""


class StepChanged(AuthorError):
    """Step {key!r} of {workflow!r} was a {was} when this notification started and is a {now} today.
    Give the new step a new key."""


class StepFailed(AuthorError):
    """Step {key!r} failed: {problem}"""


class AwaitedOutsideStep(BaseException):
    """A workflow awaited something that is not a step, so its result could not be remembered."""

    def __init__(self, awaited: str) -> None:
        super().__init__(
            f"awaited {awaited}, which is not a step. Write `await n.run(key, fn)` for I/O, "
            "`await n.all(a, b)` for several steps at once."
        )


class Suspended(BaseException):
    """Raised inside a workflow's body where it starts to wait; it runs again from the top later."""


class Halted(BaseException):
    """Raised inside a workflow's body where a step ends it: nothing more is told, for this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SuspendedInFinally(AuthorError):
    """{workflow!r} awaited step {key!r} inside `finally` while it was being suspended.
    Move the step out of `finally`."""


# --- rendering -----------------------------------------------------------------------------------


class RenderFailed(NotifyError):
    """{template} line {line}: {problem}"""


class TemplateMissing(NotifyError):
    """There is no template {template!r} in {folder}. Create the file, or remove the step."""


class InvalidTemplate(NotifyError):
    """{template} line {line}: {problem}. Correct the template and save it."""


# --- the world -----------------------------------------------------------------------------------


class StoreUnavailable(NotifyError):
    """The database {url} cannot be used: {problem}. Check NOTIFY_DATABASE_URL and that the server is running."""


class StoreNotWritable(NotifyError):
    """The folder {folder} cannot be written: {problem}.
    Make room, give this user the right to write, or choose another with NOTIFY_HOME."""


class StoreTooNew(NotifyError):
    """The database was made by a newer version ({revision}). Upgrade the package, or use another database."""


class PrefectUnavailable(NotifyError):
    """No Prefect server answers at {url}: {problem}. Start one with `prefect server start`,
    or unset PREFECT_API_URL to use the embedded one."""


class WorkerSilent(NotifyError):
    """No worker named {name!r} has given a sign of life in the last {seconds} s.
    Start `notify work`, or set NOTIFY_WORKER to the name it was started with."""


class PortTaken(NotifyError):
    """Port {port} is used by another program. Choose another with --port, or stop that program."""


class NotFound(NotifyError):
    """No {what} {id!r} is known. {remedy}"""


def described(error: BaseException) -> dict[str, str]:
    """An error for the log and for the system event: its message, its kind, and where it came up."""
    stack = "".join(traceback.format_exception(error))
    return {
        "message": _kept(f"{error}") or type(error).__name__,
        "name": type(error).__name__,
        "stack": _kept(stack[-8000:]),
    }


def _kept(text: str) -> str:
    """The text as every database keeps it."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
