"""Import of Claude Code's folder, in lines a second of processor time, against parsing the same lines as JSON.

``python -m benchmarks.sessions [LINES]``. A folder of generated sessions has the form of ``~/.claude/projects``: an
answer stands in three lines of 2 kB, and two other lines stand between answers.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from ingest.files.importer import import_files
from ledger.log.sqlite.log import EmbeddedLog
from ledger.settings import Settings

LINES_A_FILE = 2_000
TEXT = "The quick brown fox jumps over the lazy dog. " * 30


def write_session(path: Path, session: int, line_count: int) -> None:
    """Write a session file: answers of three lines, each after a line of the user and one of a tool."""
    lines = []
    for number in range(line_count // 5):
        shared = {
            "cwd": "/home/dev/app", "sessionId": f"session-{session}", "version": "2.1.0", "gitBranch": "main",
            "timestamp": f"2026-11-{number % 28 + 1:02}T09:{number % 60:02}:00.000Z",
        }  # fmt: skip
        lines.append(shared | {"type": "user", "uuid": f"{number}-0", "message": {"role": "user", "content": TEXT}})
        for part, output in enumerate((1, 1, 300)):
            usage = {
                "input_tokens": 10, "cache_creation_input_tokens": 800, "cache_read_input_tokens": 15_000,
                "cache_creation": {"ephemeral_5m_input_tokens": 800, "ephemeral_1h_input_tokens": 0},
                "output_tokens": output, "service_tier": "standard",
            }  # fmt: skip
            message = {
                "id": f"msg_{session}_{number}", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
                "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn" if part == 2 else None,
                "usage": usage,
            }  # fmt: skip
            lines.append(
                shared
                | {
                    "type": "assistant",
                    "uuid": f"{number}-{part}",
                    "requestId": f"req_{session}_{number}",
                    "message": message,
                }
            )
        lines.append(shared | {"type": "user", "uuid": f"{number}-9", "toolUseResult": {"stdout": TEXT}})
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")


def main(line_count: int) -> None:
    """Generate a folder, and measure both."""
    with tempfile.TemporaryDirectory() as directory:
        folder, home = Path(directory) / "projects" / "app", Path(directory) / "home"
        folder.mkdir(parents=True)
        for session in range(line_count // LINES_A_FILE):
            write_session(folder / f"{session}.jsonl", session, LINES_A_FILE)
        start_s = time.process_time()
        for file in folder.glob("*.jsonl"):
            for line in file.read_bytes().splitlines():
                msgspec.json.decode(line)
        parsing_s = time.process_time() - start_s
        start_s = time.process_time()
        summary = import_files(EmbeddedLog(home), Settings(home=home), [folder.parent])
        import_s = time.process_time() - start_s
    assert summary.accepted == line_count // 5 and not summary.rejected
    print(f"parsing alone  {line_count / parsing_s:>10,.0f} lines/s")
    print(f"import         {line_count / import_s:>10,.0f} lines/s  {parsing_s / import_s:.2f} of parsing")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
