"""The data folder: one holder a part, and files that are whole."""

from pathlib import Path

import pytest

from ledger.errors import TallyError
from ledger.home.locks import only_one, runs
from ledger.home.presence import announce, announced
from ledger.home.secrets import pseudonym, secret


def test_a_part_has_one_holder_and_says_so(tmp_path: Path) -> None:
    with only_one(tmp_path, "sink"):
        announce(tmp_path, "sink", url="x")
        assert runs(tmp_path, "sink")
        facts = announced(tmp_path, "sink")
        assert facts and facts["url"] == "x"
        with pytest.raises(TallyError, match="TALLY_HOME"), only_one(tmp_path, "sink"):
            pass
    assert not runs(tmp_path, "sink") and announced(tmp_path, "sink") is None


def test_secrets_stay_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first = secret(tmp_path, "pseudonym:acme")
    assert secret(tmp_path, "pseudonym:acme") == first != secret(tmp_path, "pseudonym:other")
    assert (tmp_path / "secrets.json").stat().st_mode & 0o077 == 0
    assert pseudonym(first, "x") == pseudonym(first, "x") != pseudonym("other", "x")
