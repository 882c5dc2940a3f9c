"""SMTP: connections, TLS, logins, addresses beyond ASCII, the URL."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from notify import clock
from notify.channels.smtp import Server, SmtpProvider
from notify.errors import InvalidSetting
from notify.model import OutcomeKind
from tests.contracts.providers_mails import kinds, mail, settings
from tests.contracts.providers_smtp import SmtpWorld, smtp_world


@pytest.fixture
async def smtp(tmp_path: Path) -> AsyncIterator[SmtpWorld]:
    async with smtp_world(tmp_path) as made:
        yield made


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a self-signed certificate for localhost, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = clock.now() - timedelta(days=1)
    signed = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), start, start + timedelta(days=9)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    file = tmp_path / "localhost.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + signed.public_bytes(Encoding.PEM))
    return file


async def test_connections_are_few_and_used_again(smtp: SmtpWorld) -> None:
    await smtp.provider.send([mail(f"a{number}@example.com") for number in range(40)])
    await smtp.provider.send([mail("rejected@example.com"), *(mail(f"b{number}@example.com") for number in range(40))])

    assert len(smtp.mails) == 80
    assert len(smtp.sessions) <= smtp.provider.concurrency


async def test_a_connection_the_server_closed_is_replaced(smtp: SmtpWorld) -> None:
    await smtp.provider.send([mail("a@example.com")])
    smtp.hang_up()

    assert kinds(await smtp.provider.send([mail("b@example.com")])) == [OutcomeKind.ACCEPTED]
    assert len(smtp.sessions) == 2


async def test_a_server_that_limits_mails_to_a_connection_gets_new_connections(tmp_path: Path) -> None:
    async with smtp_world(tmp_path, limit=3) as world:
        world.provider.concurrency = 1
        outcomes = await world.provider.send([mail(f"u{number}@example.com") for number in range(10)])

    assert kinds(outcomes) == [OutcomeKind.ACCEPTED] * 10
    assert len(world.sessions) == 4


async def test_an_address_beyond_ascii_uses_smtputf8(smtp: SmtpWorld) -> None:
    assert kinds(await smtp.provider.send([mail("zoë@example.com", id="m-zoe")])) == [OutcomeKind.ACCEPTED]
    assert smtp.recipients == ["zoë@example.com"]


async def test_an_address_beyond_ascii_is_rejected_where_the_server_cannot(tmp_path: Path) -> None:
    async with smtp_world(tmp_path, enable_SMTPUTF8=False) as world:
        outcomes = await world.provider.send([mail("zoë@example.com", id="m-zoe"), mail()])

    assert kinds(outcomes) == [OutcomeKind.REJECTED, OutcomeKind.ACCEPTED]
    assert "SMTPUTF8" in (outcomes[0].detail or "")


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_refused_login_is_not_the_messages_fault(tmp_path: Path) -> None:
    def refuse(*_: Any) -> bool:
        return False

    options = {"auth_callback": refuse, "auth_require_tls": False, "auth_required": True}
    async with smtp_world(tmp_path, user="ada:secret@", **options) as world:
        [outcome] = await world.provider.send([mail()])

    assert outcome.kind is OutcomeKind.RETRY
    assert "NOTIFY_SMTP_URL" in (outcome.detail or "")
    assert "secret" not in (outcome.detail or "")


async def test_a_server_that_never_greets_was_never_reached(tmp_path: Path) -> None:
    done = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = SmtpProvider(settings(tmp_path, smtp_url=f"smtp://127.0.0.1:{port}"), timeout=0.2)

    [outcome] = await provider.send([mail()])
    done.set()
    server.close()

    assert (outcome.kind, outcome.never_connected) == (OutcomeKind.RETRY, True)


async def test_login_and_mail_go_over_tls_where_the_server_offers_it(tmp_path: Path, certificate: Path) -> None:
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate)
    logins: list[tuple[bytes, bytes]] = []

    def remember(mechanism: str, login: bytes, password: bytes) -> bool:
        logins.append((login, password))
        return True

    options = {
        "tls_context": ours,
        "auth_required": True,
        "auth_callback": remember,
        "auth_exclude_mechanism": ["LOGIN"],
    }
    async with smtp_world(tmp_path, user="ada:p%40ss@", **options) as world:
        [untrusted] = await world.provider.send([mail()])
        trusting = SmtpProvider(world.settings, context=ssl.create_default_context(cafile=certificate))
        [trusted] = await trusting.send([mail()])
        await trusting.aclose()

    assert (untrusted.kind, untrusted.never_connected) == (OutcomeKind.RETRY, True)
    assert "certificate" in (untrusted.detail or "").lower()
    assert trusted.kind is OutcomeKind.ACCEPTED
    assert logins == [(b"ada", b"p@ss")]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", Server("mail.example.com", 25, False, None, None)),
        ("smtps://mail.example.com/", Server("mail.example.com", 465, True, None, None)),
        ("smtp://ada:p%40ss%2F@[::1]:2525", Server("::1", 2525, False, "ada", "p@ss/")),
    ],
)
def test_an_smtp_url_is_read(url: str, server: Server, tmp_path: Path) -> None:
    assert Server.of(settings(tmp_path, smtp_url=url)) == server


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.com:25",
        "http://u:secret@mail.example.com",
        "smtp://",
        "smtp://u:secret@mail.example.com:port",
        "smtp://u:secret/2@mail.example.com",
        "smtp://u:secret@mail.example.com/?starttls=never",
        "smtp://[::1",
    ],
)
def test_a_bad_smtp_url_names_its_variable_and_keeps_the_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="NOTIFY_SMTP_URL") as refused:
        SmtpProvider(settings(tmp_path, smtp_url=url))

    assert "secret" not in str(refused.value)
