"""A dispatch read as an e-mail, checked once for every e-mail provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from typing import cast

from notify.channels import base
from notify.channels.base import Unsendable
from notify.errors import InvalidSetting
from notify.model import Channel, Dispatch
from notify.settings import Settings

#: RFC 5321 Mailbox, less strict inside: what must not pass is what could end the address or begin another.
_ATOM = r"""[^\s<>()\[\],;:"@\\\x00-\x1f\x7f]+"""
_QUOTED = r""" "(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])+" """.strip()
_LITERAL = r"\[[0-9A-Za-z.:]+\]"
_MAILBOX = re.compile(f"(?:{_ATOM}|{_QUOTED})@(?:{_ATOM}|{_LITERAL})")
#: Characters that end a line somewhere: C0, DEL, C1 and the two Unicode separators, which `str.splitlines` honours.
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
#: RFC 5322 field-name.
_FIELD_NAME = re.compile(r"[!-9;-~]+")
#: Written by the providers themselves; a second one would contradict them.
_OURS = frozenset({"from", "to", "cc", "bcc", "sender", "subject", "date", "message-id", "mime-version", "return-path"})


@dataclass(frozen=True, slots=True)
class Sender:
    """Who the mail is from: NOTIFY_EMAIL_FROM, taken apart."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """The part after the @, in ASCII: right of the @ in every Message-ID."""
        return self.address.rpartition("@")[2]

    @classmethod
    def of(cls, settings: Settings) -> Sender:
        """`notify@example.com` or `Name <notify@example.com>`; anything else is an InvalidSetting."""
        name, address = parseaddr(settings.email_from)
        try:
            sender = cls(one_line(name), mailbox(address))
        except Unsendable as problem:
            raise _invalid_sender(settings, str(problem)) from None
        if not sender.address.isascii():
            raise _invalid_sender(
                settings, "not every server can carry a sender with letters beyond ASCII before the @"
            )
        return sender


def _invalid_sender(settings: Settings, problem: str) -> InvalidSetting:
    return InvalidSetting(
        name="NOTIFY_EMAIL_FROM",
        value=settings.email_from,
        problem=problem,
        remedy="Use notify@example.com or Name <notify@example.com>",
    )


@dataclass(frozen=True, slots=True)
class Letter:
    """One e-mail, every field safe to be written into a header or a command."""

    id: str
    #: One address; its domain is ASCII, its local part may not be (RFC 6531).
    to: str
    #: One line.
    subject: str
    html: str
    text: str
    headers: Mapping[str, str]


def read(dispatch: Dispatch, provider: str) -> Letter:
    """The dispatch as a letter, or Unsendable.

    Line breaks in the subject become spaces (a template that ends with one is a slip, not an attack worth a lost
    message); in an address or in another header they are refused.
    """
    base.check(dispatch, provider, channel=Channel.EMAIL, extras={"headers"})
    content = dispatch.content
    return Letter(
        id=dispatch.id,
        to=mailbox(dispatch.address),
        subject=one_line(content.subject or ""),
        html=scalar(content.body),
        text=scalar(content.text or ""),
        headers=_headers(content.extra.get("headers")),
    )


def mailbox(address: str) -> str:
    """`address` with its domain in ASCII (IDNA), or Unsendable when it is not one plain address."""
    if not _MAILBOX.fullmatch(address) or _BREAKS.search(address):
        raise Unsendable(f"{address!r} is not an e-mail address")
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    try:
        return f"{scalar(local)}@{domain.encode('idna').decode()}"
    except UnicodeError:
        raise Unsendable(f"{address!r} has a domain that cannot be written in ASCII") from None


def one_line(text: str) -> str:
    """`text` without line breaks and control characters: each run of them is one space."""
    return scalar(_BREAKS.sub(" ", text).strip())


def scalar(text: str) -> str:
    """`text` without lone surrogates, which JSON may bring (half an emoji) and UTF-8 cannot carry."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _headers(given: object) -> Mapping[str, str]:
    if not given:
        return {}
    if not isinstance(given, Mapping):
        raise Unsendable("extra['headers'] is not an object of names and texts")
    pairs = cast("Mapping[object, object]", given)
    headers = dict(_header(name, value) for name, value in pairs.items())
    if len({name.lower() for name in headers}) < len(headers):
        raise Unsendable("extra['headers'] has the same header twice, in capitals and in small letters")
    return headers


def _header(name: object, value: object) -> tuple[str, str]:
    if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
        raise Unsendable(f"{name!r} is not the name of a header")
    if name.lower() in _OURS or name.lower().startswith("content-"):
        raise Unsendable(f"the header {name} is written by the engine")
    if not isinstance(value, str) or _BREAKS.search(value):
        raise Unsendable(f"the header {name} is not one line of text")
    return name, scalar(value)
