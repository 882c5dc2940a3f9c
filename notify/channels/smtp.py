"""SMTP (RFC 5321) over a pool of connections that are kept between messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ssl import SSLContext
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib

from notify.channels import base, mail, mime
from notify.channels.base import Call, Stage
from notify.errors import InvalidSetting
from notify.model import Channel, Dispatch, Outcome, OutcomeKind
from notify.settings import Settings

#: Seconds after which an idle connection is not trusted any more. Servers close theirs after five minutes, address
#: translators forget them sooner and without a word.
_IDLE = 60
_PORTS = {"smtp": 25, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Server:
    """NOTIFY_SMTP_URL, taken apart."""

    host: str
    port: int
    #: TLS from the first byte; otherwise STARTTLS where the server offers it.
    tls: bool
    user: str | None
    password: str | None

    @classmethod
    def of(cls, settings: Settings) -> Server:
        """`smtp://[user:password@]host[:port]` or `smtps://…`; anything else is an InvalidSetting.

        User and password are percent-decoded. The password never appears in the error.
        """
        try:
            url = urlsplit(settings.smtp_url)
            port = url.port
        except ValueError:
            # Their own words may quote a piece of the password.
            raise _invalid(settings, "it cannot be read as a URL with a number for a port") from None
        _require_plain(settings, url)
        return cls(
            host=url.hostname or "",
            port=port or _PORTS[url.scheme],
            tls=url.scheme == "smtps",
            user=unquote(url.username) if url.username else None,
            password=unquote(url.password) if url.password else None,
        )


def _require_plain(settings: Settings, url: SplitResult) -> None:
    if url.scheme not in _PORTS:
        raise _invalid(settings, "it does not begin with smtp:// or smtps://")
    if not url.hostname:
        raise _invalid(settings, "it names no host")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise _invalid(settings, "nothing may follow the port")


def _invalid(settings: Settings, problem: str) -> InvalidSetting:
    return InvalidSetting(
        name="NOTIFY_SMTP_URL",
        value=settings.smtp_url.rpartition("@")[2],
        problem=problem,
        remedy="Use smtp://user:password@host:port, or smtps:// for TLS from the start; percent-encode the password",
    )


_UNSUPPORTED_ADDRESS = Outcome(
    OutcomeKind.REJECTED,
    detail="the server does not take addresses with letters beyond ASCII before the @ (RFC 6531, SMTPUTF8)",
)


class _Stale(Exception):
    """A kept connection turned out to be closed, before the message left: a fresh one may be tried."""


class _SessionRefused(Exception):
    """The server answers but takes no mail from us now: no message's fault."""


class _Pool:
    """At most `size` connections of one event loop; idle ones are kept, last used first."""

    def __init__(self, server: Server, domain: str, *, size: int, timeout: float, context: SSLContext | None) -> None:
        self._server = server
        self._domain = domain
        self._timeout = timeout
        self._context = context
        self._free = asyncio.Semaphore(size)
        self._idle: list[tuple[float, aiosmtplib.SMTP]] = []

    @asynccontextmanager
    async def lease(self, *, fresh: bool) -> AsyncGenerator[tuple[aiosmtplib.SMTP, bool]]:
        """A connection, and whether it was used before. It is kept unless the block raises."""
        async with self._free:
            kept = None if fresh else self._reusable()
            client = kept or await self._connect()
            try:
                yield client, kept is not None
            except BaseException:
                client.close()
                raise
            self._keep(client)

    async def close(self) -> None:
        """Take leave of the idle connections; those in use close when they come back broken."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_quit(client) for _, client in idle))

    def _reusable(self) -> aiosmtplib.SMTP | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            since, client = self._idle.pop()
            if client.is_connected and now - since < _IDLE:
                return client
            client.close()
        return None

    def _keep(self, client: aiosmtplib.SMTP) -> None:
        if client.is_connected:
            self._idle.append((asyncio.get_running_loop().time(), client))

    async def _connect(self) -> aiosmtplib.SMTP:
        client = aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            username=self._server.user,
            password=self._server.password,
            # The default asks the resolver for this machine's name, which may take seconds.
            local_hostname=self._domain,
            timeout=self._timeout,
            use_tls=self._server.tls,
            tls_context=self._context,
        )
        try:
            await client.connect()
        except aiosmtplib.SMTPAuthenticationError as refusal:
            raise _SessionRefused(f"login refused, check NOTIFY_SMTP_URL: {_text(refusal)}") from refusal
        except aiosmtplib.SMTPResponseException as refusal:
            raise _SessionRefused(f"session refused: {_text(refusal)}") from refusal
        return client


async def _quit(client: aiosmtplib.SMTP) -> None:
    with suppress(aiosmtplib.SMTPException, OSError):
        await client.quit(timeout=1)
    client.close()


class SmtpProvider:
    """E-mail over SMTP. The provider's message id is our Message-ID, `<dispatch id@domain of NOTIFY_EMAIL_FROM>`.

    4xx is RETRY and 5xx REJECTED (RFC 5321, 4.2.1). A refused greeting or login is RETRY: it says nothing about the
    message. A connection lost once DATA was begun is UNKNOWN, before that RETRY. Not idempotent.
    """

    id = "smtp"
    channel = Channel.EMAIL
    idempotent = False

    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float = 30,
        concurrency: int = 8,
        context: SSLContext | None = None,
    ) -> None:
        """`concurrency` connections at most; `context` replaces the system's certificates and rules for TLS."""
        self.timeout = timeout
        self.concurrency = concurrency
        self._sender = sender = mail.Sender.of(settings)
        server = Server.of(settings)
        self._pools = base.PerLoop(
            lambda: _Pool(server, sender.domain, size=concurrency, timeout=timeout, context=context)
        )

    async def send(self, dispatches: Sequence[Dispatch]) -> list[Outcome]:
        """One SMTP transaction for each message, `concurrency` at once."""
        return await base.send_each(dispatches, self._send, concurrency=self.concurrency, timeout=self.timeout)

    async def aclose(self) -> None:
        """Quit the idle connections of the running loop."""
        if pool := self._pools.take():
            await pool.close()

    async def _send(self, call: Call) -> Outcome:
        letter = mail.read(call.dispatch, self.id)
        content = mime.compose(letter, self._sender)
        try:
            try:
                return await self._transact(call, letter, content, fresh=False)
            except _Stale:
                return await self._transact(call, letter, content, fresh=True)
        except _SessionRefused as refusal:
            return Outcome(OutcomeKind.RETRY, detail=base.excerpt(str(refusal)))
        except aiosmtplib.SMTPException as problem:
            return call.lost(base.describe(problem))

    async def _transact(self, call: Call, letter: mail.Letter, content: bytes, *, fresh: bool) -> Outcome:
        call.stage = Stage.CONNECTING
        async with self._pools.current().lease(fresh=fresh) as (client, reused):
            call.stage = Stage.CONNECTED
            if not letter.to.isascii() and not client.supports_extension("smtputf8"):
                return _UNSUPPORTED_ADDRESS
            try:
                await self._begin(client, letter, reused=reused)
                await client.rcpt(letter.to, encoding="utf-8")
                call.stage = Stage.HANDED_OVER
                answer = await client.data(content)
            except aiosmtplib.SMTPResponseException as refusal:
                # The server said no: should the reset take too long, the message is still not taken.
                call.stage = Stage.CONNECTED
                await _reset(client)
                return _refused(refusal)
        return Outcome(
            OutcomeKind.ACCEPTED,
            provider_message_id=mime.message_id(letter, self._sender),
            detail=base.excerpt(answer.message),
        )

    async def _begin(self, client: aiosmtplib.SMTP, letter: mail.Letter, *, reused: bool) -> None:
        try:
            await client.mail(self._sender.address, options=[] if letter.to.isascii() else ["SMTPUTF8"])
        except aiosmtplib.SMTPServerDisconnected:
            if reused:
                raise _Stale from None
            raise
        except aiosmtplib.SMTPSenderRefused as refusal:
            # Many servers take a number of mails on one connection and then say 421.
            if reused and refusal.code == aiosmtplib.SMTPStatus.domain_unavailable:
                raise _Stale from None
            raise


async def _reset(client: aiosmtplib.SMTP) -> None:
    """Ready for the next message; a server that does not even answer this is not asked again."""
    try:
        await client.rset(timeout=1)
    except (aiosmtplib.SMTPException, OSError):
        client.close()


def _refused(refusal: aiosmtplib.SMTPResponseException) -> Outcome:
    """RFC 5321, 4.2.1: 4yz may be tried again, 5yz not. Anything else is no answer at all."""
    kinds = {4: OutcomeKind.RETRY, 5: OutcomeKind.REJECTED}
    return Outcome(kinds.get(refusal.code // 100, OutcomeKind.UNKNOWN), detail=base.excerpt(_text(refusal)))


def _text(refusal: aiosmtplib.SMTPResponseException) -> str:
    return f"{refusal.code} {refusal.message}"
