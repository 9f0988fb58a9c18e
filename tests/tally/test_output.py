"""Output of commands."""

import subprocess
import sys

FOLLOWS = "from tally.output import pause; print('a line', flush=True); pause(0.1); print('another'); pause(60)"


def test_who_follows_ends_when_nobody_reads_any_more() -> None:
    """Without a line to write: a process that only waits gets no error from the pipe."""
    with subprocess.Popen(
        [sys.executable, "-u", "-c", FOLLOWS], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        assert [process.stdout.readline(), process.stdout.readline()] == [b"a line\n", b"another\n"]
        process.stdout.close()
        assert process.wait(30) == 1 and b"BrokenPipeError" in process.stderr.read()
