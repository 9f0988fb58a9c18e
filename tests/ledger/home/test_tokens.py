"""Tokens: found by what is shown, kept as hashes, of no use once revoked."""

import stat
from pathlib import Path

import pytest

from ledger.errors import TallyError
from ledger.home.tokens import ROLES, Tokens, create_token, list_tokens, revoke_token


def test_a_token_is_found_by_what_is_shown(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token, bearer = create_token(tmp_path, ["acme", "acme", "other"], ["admin", "write"])
    assert token.organizations == ("acme", "other") and token.roles == ("write", "admin")
    assert tokens.find(bearer) == token
    second, other = create_token(tmp_path, ["acme"], ["read"])
    assert tokens.find(other) == second and tokens.find(bearer) == token
    for wrong in ("", "tally", "tally_", bearer[:-1], bearer + "x", bearer.upper(), f"tally_{token.id}_", "é" * 9):
        assert tokens.find(wrong) is None
    mixed = f"tally_{token.id}_{other.rpartition('_')[2]}"
    assert tokens.find(mixed) is None


def test_a_home_keeps_the_hash_alone(tmp_path: Path) -> None:
    _, bearer = create_token(tmp_path, ["acme"], ROLES)
    kept = tmp_path / "tokens.json"
    assert bearer not in kept.read_text() and bearer.split("_", 2)[2] not in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_one_that_is_revoked_is_of_no_use_at_once(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token, bearer = create_token(tmp_path, ["acme"], ["write"])
    assert tokens.find(bearer)
    revoked = revoke_token(tmp_path, token.id)
    assert revoked.revoked and tokens.find(bearer) is None
    assert revoke_token(tmp_path, token.id) == revoked and list_tokens(tmp_path) == [revoked]


def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    with pytest.raises(TallyError, match="has no token 'abc'"):
        revoke_token(tmp_path, "abc")
    for organization in ("_platform", "", "x" * 257):
        with pytest.raises(TallyError, match="cannot have a token"):
            create_token(tmp_path, [organization], ["write"])
    assert list_tokens(tmp_path) == [] and Tokens(tmp_path).find("tally_a_b") is None
