"""``tally contract``: what is in force, and what signing and ending say."""

import json
from pathlib import Path

from tests.tally.conftest import invoke

CONTRACT = """
name: acme-2026
currency: USD
provider: [anthropic, aws]
until: 2027-01-01T00:00:00Z
terms:
  - {model: claude-opus-4-5, service_tier: batch, rates: {input: {base: 2, tiers: [{above: 200000, rate: 4}]}}}
  - {discount: 12.5, classes: [output]}
commitments:
  - {name: units, model: {starts_with: claude-haiku}, period: hour, units: 1500000, rates: {input: 3.5}}
  - {name: spend, period: contract, amount: 50000, discount: 20}
"""


def test_a_contract_is_signed_listed_and_ended(tmp_path: Path) -> None:
    home = {"TALLY_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
    (tmp_path / "acme.yaml").write_text(CONTRACT)
    signed = invoke("contract", "sign", str(tmp_path / "acme.yaml"), "--org", "acme", **home)
    assert signed.returncode == 0 and "tally price restate --dry-run" in signed.stdout
    again = invoke("contract", "sign", str(tmp_path / "acme.yaml"), "--org", "acme", **home)
    assert again.returncode == 0 and "already in force" in again.stdout and "restate" not in again.stdout
    lines = invoke("contract", "list", "--org", "acme", **home).stdout.splitlines()
    assert lines[:5] == [
        "acme-2026: USD, with anthropic or aws, until 2027-01-01 00:00 UTC",
        "  term 0      model claude-opus-4-5, service tier batch: input 2, 4 above 200,000",
        "  term 1      every call: 12.5 % off output",
        "  commitment  units, for model starts with claude-haiku: 1,500,000 units an hour, at input 3.5",
        "  commitment  spend, for every call: 50000 in all, drawn 20 % below the contracted cost",
    ]
    (facts,) = json.loads(invoke("contract", "list", "--org", "acme", "--json", **home).stdout)
    assert facts["contract"]["terms"][1]["discount"] == "12.5"
    unknown = invoke("contract", "end", "acme", "--org", "acme", **home)
    assert unknown.returncode == 2 and "'acme'" in unknown.stderr and "in force: acme-2026" in unknown.stderr
    assert invoke("contract", "end", "acme-2026", "--org", "acme", **home).returncode == 0
    assert "No contract is in force in acme" in invoke("contract", "list", "--org", "acme", **home).stdout


def test_signing_warns_of_names_that_no_book_has(tmp_path: Path) -> None:
    home = {"TALLY_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
    terms = "[{model: claude-opus-4-5, discount: 1}, {model: [claud-opus, {starts_with: claude}], discount: 2}]"
    (tmp_path / "c.yaml").write_text(f"{{name: c, currency: USD, provider: [bedrock, antropic], terms: {terms}}}")
    signed = invoke("contract", "sign", str(tmp_path / "c.yaml"), "--org", "acme", **home)
    assert signed.returncode == 0 and signed.stderr.count("Warning") == 2
    assert "provider 'antropic'" in signed.stderr and "model 'claud-opus'" in signed.stderr
