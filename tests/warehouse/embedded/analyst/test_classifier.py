"""The classifier remembers the statements of analysts that it allowed."""

from collections.abc import Iterator

import pytest

from warehouse.embedded.analyst import classifier
from warehouse.embedded.analyst.classifier import MAX_REMEMBERED, Classifier
from warehouse.embedded.errors import QueryFailed


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The statements that were parsed. Those with `file` are refused."""
    read: list[bytes] = []

    def answer(self: Classifier, sql: bytes) -> str:
        read.append(sql)
        return "Code: 497. DB::Exception: no" if b"file" in sql else ""

    monkeypatch.setattr(Classifier, "_classify", answer)
    return read


@pytest.fixture
def reader() -> Iterator[Classifier]:
    reader = Classifier()
    yield reader
    reader.close()


def test_a_statement_that_was_allowed_is_not_read_again(reader: Classifier, answers: list[bytes]) -> None:
    for _ in range(3):
        reader.check(b"select 1")
        with pytest.raises(QueryFailed, match="no"):
            reader.check(b"select file('x')")
    assert answers == [b"select 1"] + [b"select file('x')"] * 3


def test_few_and_short_ones_are_remembered(reader: Classifier, answers: list[bytes]) -> None:
    long = b"select 1" + b" " * classifier.MAX_REMEMBERED_BYTES
    for number in range(MAX_REMEMBERED + 1):
        reader.check(b"select %d" % number)
    for sql in (long, long, b"select 0", b"select 256"):
        reader.check(sql)
    assert answers[MAX_REMEMBERED + 1 :] == [long, long, b"select 0"]
