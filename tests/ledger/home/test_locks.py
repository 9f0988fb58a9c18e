"""The data folder: one holder a part, and files that are whole."""

from pathlib import Path

import pytest

from ledger.errors import TallyError
from ledger.home.locks import service_lock, is_running
from ledger.home.presence import announce, find_presence
from ledger.home.secrets import pseudonym, ensure_secret


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
