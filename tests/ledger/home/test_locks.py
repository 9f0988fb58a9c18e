"""The data folder: one holder a part, and files that are whole."""

from pathlib import Path

import pytest

from ledger.errors import TallyError
from ledger.home.locks import is_running, service_lock, shared_service_lock
from ledger.home.presence import announce, find_presence
from ledger.home.secrets import ensure_secret, pseudonym


def test_a_part_has_one_holder_and_says_so(tmp_path: Path) -> None:
    with service_lock(tmp_path, "sink"):
        announce(tmp_path, "sink", url="x")
        assert is_running(tmp_path, "sink")
        facts = find_presence(tmp_path, "sink")
        assert facts and facts["url"] == "x"
        with pytest.raises(TallyError, match="TALLY_HOME"), service_lock(tmp_path, "sink"):
            pass
    assert not is_running(tmp_path, "sink") and find_presence(tmp_path, "sink") is None


def test_secrets_stay_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first = ensure_secret(tmp_path, "pseudonym:acme")
    assert ensure_secret(tmp_path, "pseudonym:acme") == first != ensure_secret(tmp_path, "pseudonym:other")
    assert (tmp_path / "secrets.json").stat().st_mode & 0o077 == 0
    assert pseudonym(first, "x") == pseudonym(first, "x") != pseudonym("other", "x")


def test_a_service_of_several_processes_runs_until_the_last_has_ended(tmp_path: Path) -> None:
    assert not is_running(tmp_path, "sink")
    with shared_service_lock(tmp_path, "sink") as name:
        assert is_running(tmp_path, "sink") and is_running(tmp_path, name)
    assert not is_running(tmp_path, "sink") and not is_running(tmp_path, name)
