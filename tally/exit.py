"""How a command ends: the exit code and the sentence of each kind of failure."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from ledger.errors import GenerationSuperseded, TallyError
from ledger.home.disk import OUT_OF_SPACE


class Terminated(KeyboardInterrupt):
    """SIGTERM: unwinds like Ctrl-C, and what was started is stopped."""


class Failure(Exception):
    """A check failed, or a part failed to start or died. ``exit_code`` is what ``tally`` then ends with."""

    def __init__(self, sentence: str, exit_code: int = 1) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.EIO)


class FailureReportingGroup(TyperGroup):
    """A group whose failures are told in a sentence."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        with reported_failures():
            return super().invoke(ctx)


@contextmanager
def reported_failures() -> Iterator[None]:
    """Turn what a user can mend into a red sentence on stderr and its exit code; leave defects alone."""
    try:
        yield
    except GenerationSuperseded as error:  # nobody need mend anything: who supervises it starts it again
        _exit_with(str(error), 1)
    except TallyError as error:
        _exit_with(str(error), 2)
    except Failure as error:
        _exit_with(str(error), error.exit_code)
    except Terminated:
        raise SystemExit(143) from None
    except BrokenPipeError:  # who read our output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno in OUT_OF_SPACE:
            _exit_with(f"the disk is full ({error.filename or error.strerror}): free some space and start again", 2)
        if error.errno in _FORBIDDEN and error.filename:
            _exit_with(f"cannot use {error.filename} ({error.strerror}): set TALLY_HOME to a folder you may write", 2)
        raise


def _exit_with(sentence: str, code: int) -> None:
    typer.secho(sentence, fg=typer.colors.RED, err=True)
    raise SystemExit(code) from None
