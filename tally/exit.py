"""End a command: the exit code and the sentence of each kind of failure."""

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
    """SIGTERM: unwinds like Ctrl-C, so that started services are stopped."""


class Failure(Exception):
    """A check failed, or a service failed to start or crashed. ``exit_code`` is the exit code of ``tally``."""

    def __init__(self, sentence: str, exit_code: int = 1) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.EIO)


class FailureReportingGroup(TyperGroup):
    """A command group that reports failures in a sentence, and fits help to the width of the terminal."""

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _join_help_lines(command)
        return command

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        with reported_failures():
            return super().invoke(ctx)


def _join_help_lines(command: Any) -> None:
    """Join the lines of each paragraph of help, as Typer keeps the line breaks of a docstring."""
    if command.help:
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in command.help.split("\n\n"))
    for inner in getattr(command, "commands", {}).values():
        _join_help_lines(inner)


@contextmanager
def reported_failures() -> Iterator[None]:
    """Turn failures that a user can repair into a red sentence on stderr and an exit code; let bugs pass."""
    try:
        yield
    except GenerationSuperseded as error:  # nothing to repair: its supervisor starts it again
        _exit_with(str(error), 1)
    except TallyError as error:
        _exit_with(str(error), 2)
    except Failure as error:
        _exit_with(str(error), error.exit_code)
    except Terminated:
        raise SystemExit(143) from None
    except BrokenPipeError:  # the reader of our output has closed it
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
