"""The list of a home's files: documented as it stands, and found by path."""

from pathlib import Path

from ledger.home.layout import DERIVED, FILES, PRESENCE, RECORDED, STATE_CACHE, SWITCH, HomeFile, find_home_file
from tests.tally.conftest import ROOT

LOST = {
    "facts": "facts",
    "keys": "keys of pseudonyms",
    "access": "who may send, who gets alerts",
    "names": "names of persons",
    "time": "the time to derive it again",
    "nothing": "nothing",
}


def row(file: HomeFile) -> str:
    """The entry's row in docs/operations.md."""
    way_out = file.way_out.replace("{home}/", "")
    return f"| `{file.pattern}` | {file.content} | {file.writer} | {LOST[file.loss]} | {way_out} |"


def test_the_operations_guide_has_every_file_with_its_way_out() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    assert [file.pattern for file in FILES if row(file) not in guide] == []


def test_a_path_is_found_with_its_home() -> None:
    for name, file in (
        ("log/recorded.db", RECORDED),
        ("rebuild/log/derived.db", DERIVED),
        ("run/switch.json", SWITCH),
        ("run/api.json", PRESENCE),
        ("streams/name/3.2.db", STATE_CACHE),
    ):
        found = find_home_file(Path("/a home") / name)
        assert found is not None and found[1] is file
        assert found[0] == Path("/a home/rebuild" if name.startswith("rebuild") else "/a home")
    assert find_home_file(Path("/elsewhere/else.txt")) is None


def test_no_two_entries_say_the_same_file() -> None:
    assert len({file.pattern for file in FILES}) == len(FILES)
