"""Which provider carries a channel, and where a channel reaches a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

from notify.channels.base import Provider
from notify.channels.file import FileProvider
from notify.channels.sendgrid import SendGridProvider
from notify.channels.smtp import SmtpProvider
from notify.errors import InvalidSetting
from notify.model import Channel, Subscriber
from notify.settings import Settings


def _file(settings: Settings) -> Provider:
    return FileProvider(settings, Channel.EMAIL)


_EMAIL: Mapping[str, Callable[[Settings], Provider]] = {
    "file": _file,
    "smtp": SmtpProvider,
    "sendgrid": SendGridProvider,
}


def providers(settings: Settings) -> dict[Channel, Provider]:
    """One provider for each channel that can be sent on; nothing is connected yet.

    A channel that is absent has no provider; in-app never has one, its messages are rows of the store. A setting that
    the chosen provider cannot use is an InvalidSetting naming its variable.
    """
    if settings.email not in _EMAIL:
        raise InvalidSetting(
            name="NOTIFY_EMAIL",
            value=settings.email,
            problem="no such e-mail provider",
            remedy=f"Use one of {', '.join(_EMAIL)}",
        )
    files = {channel: FileProvider(settings, channel) for channel in (Channel.PUSH, Channel.SMS)}
    return {Channel.EMAIL: _EMAIL[settings.email](settings), **files}


def address(channel: Channel, subscriber: Subscriber) -> list[str]:
    """Where `channel` reaches the person: none, one, or for push one for each device, without repetition.

    A blank text is no address, nor is one with a line break. In-app, chat and webhook have none here.
    """
    stripped = (one.strip() for one in _written(channel, subscriber))
    return list(dict.fromkeys(one for one in stripped if len(one.splitlines()) == 1))


def _written(channel: Channel, subscriber: Subscriber) -> Iterator[str]:
    if channel is Channel.EMAIL:
        yield subscriber.email or ""
    elif channel is Channel.SMS:
        yield subscriber.phone or ""
    elif channel is Channel.PUSH:
        yield from _device_tokens(subscriber)


def _device_tokens(subscriber: Subscriber) -> Iterator[str]:
    """Every token of every push integration. The entries are the application's own JSON: other shapes hold no token."""
    for entry in subscriber.channels:
        credentials: object = _mapping(entry).get("credentials")
        tokens = _mapping(credentials).get("deviceTokens")
        if isinstance(tokens, list | tuple):
            yield from (token for token in cast("list[object]", tokens) if isinstance(token, str))


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
