"""One mail over SMTP with STARTTLS, within the bounds of the network (RFC 5321, 3207, 4954)."""

import base64
from urllib.parse import unquote, urlsplit

import httpcore

from alerting.channels import http
from alerting.channels.channel import Answer, Mail
from alerting.channels.network import Network

SUBMISSION_PORT = 587


class _Session:
    """A connection to a server: commands, and the codes of its replies."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def read_reply(self) -> tuple[int, list[str]]:
        """Read a reply of one or more lines: its code, and the words of each line."""
        lines: list[str] = []
        while True:
            while b"\n" not in self._buffer:
                chunk = await self.stream.read(4096)
                if not chunk:
                    raise httpcore.ReadError("EndOfStream")
                self._buffer += chunk
            line, _, self._buffer = self._buffer.partition(b"\n")
            code, rest = line[:3].decode("ascii", "replace"), line[3:].decode("ascii", "replace").strip()
            if not code.isdigit():
                raise httpcore.RemoteProtocolError("no SMTP")
            lines.append(rest.lstrip("-").upper())
            if not rest.startswith("-"):
                return int(code), lines

    async def command(self, line: str) -> tuple[int, list[str]]:
        await self.stream.write(line.encode("ascii") + b"\r\n")
        return await self.read_reply()


async def send_mail(mail: Mail, network: Network) -> Answer:
    """Send a mail. Nothing is said to a server before TLS but its greeting, and nothing is sent to one without."""
    server = urlsplit(mail.server)
    host = server.hostname or ""
    session = _Session(await network.connect_tcp(host, server.port or SUBMISSION_PORT))
    code, _ = await session.read_reply()
    if code == 220:
        code, features = await session.command("EHLO tallystick")
        if "STARTTLS" not in features:
            return Answer(False, False, "no STARTTLS")
        code, _ = await session.command("STARTTLS")
    if code != 220:
        return Answer(False, False, f"SMTP {code}")
    session = _Session(await session.stream.start_tls(http.tls_context(), host))
    commands = ["EHLO tallystick"]
    if server.username:
        pair = f"\0{unquote(server.username)}\0{unquote(server.password or '')}".encode()
        commands.append("AUTH PLAIN " + base64.b64encode(pair).decode())
    for line in (*commands, f"MAIL FROM:<{mail.sender}>", f"RCPT TO:<{mail.recipient}>"):
        code, _ = await session.command(line)
        if not 200 <= code < 300:
            return Answer(False, False, f"SMTP {code}")
    code, _ = await session.command("DATA")
    if code != 354:
        return Answer(False, False, f"SMTP {code}")
    await session.stream.write(_escape_dots(mail.content) + b"\r\n.\r\n")
    code, _ = await session.read_reply()
    return Answer(200 <= code < 300, False, f"SMTP {code}")


def _escape_dots(content: bytes) -> bytes:
    """Double the dot that begins a line, which would end the mail."""
    lines = content.replace(b"\r\n", b"\n").split(b"\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
