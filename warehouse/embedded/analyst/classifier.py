"""Parse the statements of analysts in a process of their own, before the engine runs them.

Reading a text can take seconds, hundreds of megabytes, or the process itself (a tree nested very deep). There it
stalls nobody but the analysts, and not them for long: it is ended at its time limit, and started again. It inherits the
confinement of the warehouse's process.
"""

import json
import os
import resource
import select
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from warehouse.embedded.errors import TOO_MANY_QUERIES_CODE, QueryFailed, build_busy_error

_ROOT = Path(__file__).parents[3]
_BOOTSTRAP = f"""
import sys
from importlib.util import module_from_spec, spec_from_file_location
for name in ("ledger", "warehouse"):
    path = {str(_ROOT)!r} + "/" + name
    spec = spec_from_file_location(name, path + "/__init__.py", submodule_search_locations=[path])
    sys.modules[name] = module_from_spec(spec)
from warehouse.embedded.analyst.classifier import main
main()
"""
COMMAND = (sys.executable, "-P", "-c", _BOOTSTRAP)
"""The command names the packages' folder, since the confinement forbids the process to list it."""

READ_TIMEOUT_S = 2.0
"""Time to parse one statement; a hundred thousand values take a tenth of a second."""

WAIT_TIMEOUT_S = 4.0
"""Time that an analyst waits while the statements of others are parsed."""

START_TIMEOUT_S = 30.0

MAX_MEMORY_BYTES = 1 << 30

MAX_REMEMBERED = 256
MAX_REMEMBERED_BYTES = 4096
"""Number and length of the allowed statements that are remembered: tools send the same ones again."""

_LENGTH = struct.Struct(">I")


class Classifier:
    """The process, started at its first use."""

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self._command = command
        self._read_lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._allowed: dict[bytes, None] = {}

    def check(self, sql: bytes) -> None:
        """Raise QueryFailed where the policy refuses a statement, parsing takes too long, or too many others wait."""
        if sql in self._allowed:  # the verdict depends on the text alone
            return
        if not self._read_lock.acquire(timeout=WAIT_TIMEOUT_S):
            raise build_busy_error("statements of other analysts are being parsed: ask again")
        try:
            refusal = self._classify(sql)
            if not refusal:
                self._remember(sql)
        finally:
            self._read_lock.release()
        if refusal:
            raise QueryFailed(refusal)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _remember(self, sql: bytes) -> None:
        if len(sql) <= MAX_REMEMBERED_BYTES:
            if len(self._allowed) >= MAX_REMEMBERED:
                del self._allowed[next(iter(self._allowed))]
            self._allowed[sql] = None

    def _classify(self, sql: bytes) -> str:
        """Let the process parse a statement. Return its refusal, or an empty text."""
        process = self._ensure_process()
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(_LENGTH.pack(len(sql)) + sql)
            process.stdin.flush()
            answer = _receive_message(process.stdout.fileno(), READ_TIMEOUT_S)
        except TimeoutError:
            self.close()
            return (
                f"Code: 159. DB::Exception: Timeout exceeded: the statement takes more than {READ_TIMEOUT_S:g} seconds "
                "to read: write it shorter, or nest it less. (TIMEOUT_EXCEEDED)"
            )
        except OSError:
            self.close()
            return (
                "Code: 306. DB::Exception: The parser of statements crashed on this one: write it shorter, or nest it "
                "less. (TOO_DEEP_RECURSION)"
            )
        refusal: str = json.loads(answer)
        return refusal

    def _ensure_process(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert self._process.stdout
            try:
                _receive_message(self._process.stdout.fileno(), START_TIMEOUT_S)
            except OSError as error:  # TimeoutError is one
                self.close()
                raise QueryFailed(
                    f"Code: {TOO_MANY_QUERIES_CODE}. DB::Exception: The parser of analysts' statements does not start "
                    f"({error}): ask again; the warehouse's log has the details. (TOO_MANY_SIMULTANEOUS_QUERIES)"
                ) from error
        return self._process


def _receive_message(descriptor: int, timeout_s: float) -> bytes:
    """Read one message. TimeoutError where it is not there in time, ConnectionError where its sender is gone."""
    deadline = time.monotonic() + timeout_s
    (length,) = _LENGTH.unpack(_read_exactly(descriptor, _LENGTH.size, deadline))
    return _read_exactly(descriptor, length, deadline)


def _read_exactly(descriptor: int, length: int, deadline: float) -> bytes:
    message = b""
    while len(message) < length:
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError("it takes too long")
        chunk = os.read(descriptor, length - len(message))
        if not chunk:
            raise ConnectionError("it ended")
        message += chunk
    return message


def serve(requests: Any, answers: Any) -> None:
    """Parse statements and answer with a refusal or an empty text each, until the input ends (in the process)."""
    from warehouse.embedded.analyst import policy
    from warehouse.embedded.engine import Parser

    parser = Parser()
    _send(answers, b"ready")
    while head := requests.read(_LENGTH.size):
        sql = requests.read(_LENGTH.unpack(head)[0])
        refusal = ""
        try:
            policy.check(parser.read(sql, policy.rewrite_for_parser(sql)))
        except QueryFailed as error:
            refusal = str(error)
        _send(answers, json.dumps(refusal).encode())


def _send(answers: Any, message: bytes) -> None:
    answers.write(_LENGTH.pack(len(message)) + message)
    answers.flush()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    threading.stack_size(64 << 20)  # of address space: the engine sees how much is left, and refuses what is deeper
    # Loaded in the main thread, the engine reads /proc/self/maps for that, which the confinement does not let it.
    thread = threading.Thread(target=serve, args=(sys.stdin.buffer, sys.stdout.buffer))
    thread.start()
    with suppress(KeyboardInterrupt):  # the parent process ends this one
        thread.join()
