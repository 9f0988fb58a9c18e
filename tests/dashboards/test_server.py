"""The address of the dashboards."""

import socket
import subprocess
import urllib.request
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from ledger.errors import TallyError
from ledger.home.ports import check_port
from ledger.home.presence import find_presence
from ledger.log.open import open_log
from ledger.settings import Settings
from tests.tally.conftest import COMMAND, ROOT, eventually, home_environment, invoke


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(TallyError, match=r"TALLY_BIND 192\.0\.2\.1 .*an address of this machine"):
        check_port(0, "dashboards", "TALLY_DASHBOARDS_PORT", IPv4Address("192.0.2.1"))


def test_they_are_reached_where_tally_bind_says_and_warn_of_it(tmp_path: Path) -> None:
    open_log(Settings(home=tmp_path), new=True).close()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"TALLY_HOME": str(tmp_path), "TALLY_BIND": "0.0.0.0", "TALLY_DASHBOARDS_PORT": str(port)}
    process = subprocess.Popen(
        [*COMMAND, "dashboards", "serve"], cwd=ROOT, env=home_environment(environment), stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        eventually(lambda: find_presence(tmp_path, "dashboards") is not None or process.poll() is not None)
        facts = find_presence(tmp_path, "dashboards")
        assert facts is not None and facts["url"] == f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(facts["url"], timeout=10) as answer:
            assert answer.url.startswith(f"{facts['url']}/sign-in"), "elsewhere than on loopback everybody signs in"
        assert facts["password"] in invoke("status", TALLY_HOME=str(tmp_path)).stdout
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert "sign in with the password" in errors
