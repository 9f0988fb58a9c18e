"""The API against its own document, by Schemathesis: what it sends is made from the document, and from its opposite."""

import subprocess
import sys
from pathlib import Path

import pytest

from ingest.api.openapi import describe_api
from tests.ingest.api.conftest import Served, folding

FOR_US = "positive_data_acceptance,negative_data_rejection"
"""Rules beyond the document: times from 2000 to 2199, decisions that take more words than their schema, and that a
batch is answered 200 with what is wrong in it, event by event."""


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 20261127])
def test_every_answer_is_one_that_the_document_promises(api_server: Served, seed: int) -> None:
    bearer = api_server.bearer("write", "read", "admin")
    with folding(api_server.settings):  # or each ask waits for its answer
        process = subprocess.run(
            [
                Path(sys.executable).with_name("st"), "run", f"{api_server.address.geturl()}/openapi.json",
                "--header", f"Authorization: Bearer {bearer}", "--seed", str(seed), "--max-examples", "100",
                "--exclude-checks", FOR_US, "--no-color", "--exclude-path", "/v1/decisions",  # a stream does not end
            ],
            capture_output=True, text=True, check=False, cwd=api_server.settings.home,
        )  # fmt: skip
    assert process.returncode == 0, f"seed {seed}\n{process.stdout}\n{process.stderr}"
    total = sum(map(len, describe_api()["paths"].values()))
    assert f"{total - 1} selected / {total} total" in process.stdout, process.stdout
    assert api_server.process and api_server.process.poll() is None
