"""Errors that a user can cause or mend."""


class TallyError(Exception):
    """Names the thing, the value and the way out, in one sentence or two; the command prints it and exits 2."""


class LogDamaged(TallyError):
    """The log does not hold what a stored position says it holds: it was cut, restored or altered."""


class FileDamaged(TallyError):
    """A file of the home does not hold what it held: the sentence names it and the way out."""


class LogUnavailable(TallyError):
    """The log's cluster does not answer: it may come back."""


class GenerationSuperseded(TallyError):
    """A later generation of what is derived is current: whoever starts again is of that one."""


class LogClosed(TallyError):
    """The log went elsewhere and takes nothing more."""


EXIT_RESTART = 75
"""Exit code of a process that ended on purpose, to be started again at once (EX_TEMPFAIL): that is no death."""
