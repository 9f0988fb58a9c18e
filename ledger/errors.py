"""Errors that a user can cause or mend."""


class TallyError(Exception):
    """An error in one or two sentences: the thing, the value and the way out. The command prints it and exits 2."""


class LogDamaged(TallyError):
    """The log does not hold what a stored position says it holds: it was cut, restored or altered."""


class FileDamaged(TallyError):
    """A file of the home is damaged. The sentence names it and the way out."""


class LogUnavailable(TallyError):
    """The log's cluster does not answer, and may come back."""


class GenerationSuperseded(TallyError):
    """A later generation is current. A process that starts again uses that one."""


class LogClosed(TallyError):
    """The log was moved elsewhere and accepts nothing more."""


EXIT_RESTART = 75
"""Exit code of a process that ended to be started again at once (EX_TEMPFAIL). It is not counted as a crash."""
