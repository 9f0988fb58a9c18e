"""SQL and YAML spell the dimensions as ``ledger/dimensions.py`` lists them, and the tool writes no more than that."""

import pytest

from tools import dimensions


def test_no_file_differs_from_the_list() -> None:
    outdated = [str(path.relative_to(dimensions.ROOT)) for path, _ in dimensions.find_outdated()]
    assert not outdated, "run `python tools/dimensions.py`"


def test_a_block_is_written_anew_with_its_indentation_and_the_rest_stays() -> None:
    text = "a,\n    -- begin dimension names (tools/dimensions.py)\n    old,\n    -- end dimension names\nb\n"
    rewritten = dimensions.rewrite_blocks(text)
    assert rewritten.startswith("a,\n    -- begin dimension names (tools/dimensions.py)\n    provider,\n")
    assert rewritten.endswith("    status,\n    -- end dimension names\nb\n") and "old" not in rewritten
    assert dimensions.rewrite_blocks(rewritten) == rewritten


def test_a_block_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no such block: colours"):
        dimensions.rewrite_blocks("# begin colours\n# end colours\n")


def test_every_block_stands_somewhere() -> None:
    """A block that no file has is dead."""
    texts = [path.read_text() for folder in dimensions.FOLDERS for path in (dimensions.ROOT / folder).rglob("*.*")]
    assert not [name for name in dimensions.BLOCKS if not any(f" begin {name} " in text for text in texts)]
