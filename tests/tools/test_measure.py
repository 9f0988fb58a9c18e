"""The measuring tool finds what the rules of CONTRIBUTING.md name, and leaves alone what they allow."""

from pathlib import Path

import pytest

from tools import measure

SOURCE = '''"""What this is."""
from contextlib import contextmanager

MAX_COUNT = 1
"""Where it ends."""

class Store:
    """Keep rows."""
    found: int

    def listed(self, one, event):
        """Whether there is one."""
        said = self.held = event
        for _ in said:
            pass

    def is_opened(self) -> bool:
        return True

@contextmanager
def opened():
    yield

def split_lines(text):
    return [line for line in text]

def by_team(rows): ...
def feed_rows(rows): ...
def put(rows): ...
'''


def places(figure: measure.Figure) -> list[str]:
    return [place.name for place in sorted(figure.places)]


def test_it_finds_pronouns_participles_and_oblique_docstrings(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(SOURCE)
    pronouns, participles, oblique, long = measure.measure_code([module])
    assert sorted(places(pronouns)) == ["found", "held", "one", "said"]
    assert pronouns.total == 11
    assert places(participles) == ["listed", "by_team"]
    assert participles.total == 7
    assert places(oblique) == ["What this is.", "Where it ends.", "Whether there is one."]
    assert oblique.total == 4
    assert not long.places
    assert str(pronouns.places[0]).startswith(f"{module}:")


@pytest.mark.parametrize(("lines", "count"), [(60, 0), (61, 1)])
def test_a_function_may_have_sixty_lines(lines: int, count: int, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def walk():\n" + "    pass\n" * (lines - 1))
    assert len(measure.measure_code([module])[-1].places) == count


def test_a_folder_may_have_twenty_files_and_the_commands_more() -> None:
    files = [f"a/{n}.py" for n in range(20)] + ["a/__init__.py"] + [f"b/{n}.sql" for n in range(21)]
    files += [f"tally/cli/{n}.py" for n in range(30)]
    assert [place.path for place in measure.measure_folders(files).places] == ["b"]


def test_it_fails_above_a_bound_and_lists_the_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = tmp_path / "module.py"
    module.write_text("event = 1\n")
    assert measure.main([str(module)]) == 0
    module.write_text("event = 1\nfound = 2\n")
    assert measure.main([str(module), "--list"]) == 1
    output = capsys.readouterr().out
    assert "50.0%   (bound 1 %)   1 of 2   ABOVE" in output
    assert f"{module}:2 found" in output
