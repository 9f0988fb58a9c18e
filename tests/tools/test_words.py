"""The word lint refuses the old words, counts those that still stand, and reads its list strictly."""

from pathlib import Path

import pytest

from tools import words


def test_the_list_reads_and_no_replacement_is_refused_itself() -> None:
    entries = words.read_words(words.WORDS.read_text())
    assert len(entries) > 30
    for entry in entries:
        assert not any(word.expression.search(entry.replacement) for word in entries), entry


@pytest.mark.parametrize("line", ["a word without an arrow", "old => "])
def test_a_line_that_is_no_pair_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        words.read_words(f"# comment\n{line}\n")


def test_it_names_the_place_and_the_new_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "page.md"
    text.write_text("fine\nthe topic tally.rows holds\nof_offset\n")
    assert words.main([str(text)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{text}:2: tally.rows => tally.state",
        f"{text}:3: of_offset => original_offset",
    ]


def test_a_line_may_name_an_old_word_on_purpose(tmp_path: Path) -> None:
    text = tmp_path / "old.py"
    text.write_text('OLD = "tally.rows"  # words: allow\n')
    assert words.main([str(text)]) == 0


def test_a_pending_word_is_counted_and_does_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = tmp_path / "words.txt"
    entries.write_text("?(?i)\\bdoor\\b => intake\n?learnt => learned\n")
    text = tmp_path / "page.md"
    text.write_text("Door and door\n")
    monkeypatch.setattr(words, "WORDS", entries)
    monkeypatch.setattr(words, "list_text_files", lambda: [text])
    assert words.main([]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "words that still stand: (?i)\\bdoor\\b 2",
        "words.txt: no file has learnt any more, so take its `?` away",
    ]


def test_binary_files_and_locks_are_left_out() -> None:
    assert not words.is_checked(words.ROOT / "docs" / "images" / "overview.png")
    assert not words.is_checked(words.ROOT / "requirements" / "dev.txt")
    assert not words.is_checked(words.WORDS)
    assert words.is_checked(words.ROOT / "README.md")
