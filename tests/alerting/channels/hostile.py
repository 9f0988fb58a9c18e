"""Receivers that stand in for others: one that does its worst, and a mail server."""

import base64
import itertools
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path


class HostileReceiver:
    """Accepts connections, and does to each of them as it is told until the other side has enough."""

    def __init__(self, behave: Callable[[socket.socket], None], scheme: str = "http") -> None:
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/hook"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._behave(connection)

    def close(self) -> None:
        self._listener.close()


def drip(connection: socket.socket, content: bytes, interval_s: float = 0.1) -> None:
    for byte in itertools.cycle(content):
        connection.sendall(bytes([byte]))
        time.sleep(interval_s)


class MailServer:
    """Takes mails over STARTTLS, and answers each as it is told. ``mails`` are those that it took."""

    def __init__(self, folder: Path, user: str = "tally", password: str = "secret") -> None:
        key, self.certificate = folder / "mail-key.pem", folder / "mail-certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", self.certificate,
             "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
            check=True, capture_output=True,
        )  # fmt: skip
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._login = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.address = f"smtp://{user}:{password}@{self.host}/oncall@example.com?from=tally@example.com"
        self.status: Callable[[int], int] = lambda number: 250
        self.offers_tls, self.drips = True, False
        self.attempts = 0
        self.mails: list[Message] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ssl.SSLError):
            if self.drips:
                drip(connection, b"220-slow\r\n")
            connection.sendall(b"220 ready\r\n")
            self._converse(connection, False)

    def _converse(self, connection: socket.socket, is_encrypted: bool) -> None:
        reader = connection.makefile("rb")
        while line := reader.readline():
            verb = line.split()[0].upper()
            if verb == b"EHLO":
                offer = b"STARTTLS" if not is_encrypted and self.offers_tls else b"AUTH PLAIN"
                connection.sendall(b"250-here\r\n250 " + offer + b"\r\n")
            elif verb == b"STARTTLS":
                connection.sendall(b"220 go on\r\n")
                with self._context.wrap_socket(connection, server_side=True) as encrypted:
                    self._converse(encrypted, True)
                return
            elif verb == b"AUTH":
                is_right = line.split()[2].decode() == self._login and is_encrypted
                connection.sendall(b"235 yes\r\n" if is_right else b"535 no\r\n")
            elif verb == b"DATA":
                connection.sendall(b"354 go on\r\n")
                content = b""
                while (part := reader.readline()) != b".\r\n":
                    content += part.removeprefix(b".")
                self.attempts += 1
                status = self.status(self.attempts)
                if status < 300:
                    self.mails.append(message_from_bytes(content, policy=default))
                connection.sendall(b"%d done\r\n" % status)
            else:
                connection.sendall(b"250 yes\r\n")
