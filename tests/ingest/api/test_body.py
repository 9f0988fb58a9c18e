"""Bodies, unpacked and cut: what is too much or no body at all is a problem with its own answer."""

import gzip
import json
import struct
import tracemalloc
from collections.abc import Callable

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as some

from ingest.api import body
from ingest.api.problem import Problem

PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress, "identity": bytes}


@given(some.binary(max_size=2000), some.sampled_from(sorted(PACK)))
def test_what_was_packed_is_unpacked(content: bytes, coding: str) -> None:
    assert body.unpack(PACK[coding](content), coding) == content


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("end", [1, 5, 20])
def test_a_body_that_is_cut_is_no_shorter_body(coding: str, end: int) -> None:
    packed = PACK[coding](b'{"a":1}\n' * 5000)
    with pytest.raises(Problem, match=f"is not {coding}, or is incomplete") as error:
        body.unpack(packed[:-end], coding)
    assert error.value.status == 400


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_bomb_is_not_unpacked(coding: str) -> None:
    bomb = PACK[coding](bytes(300 << 20))
    tracemalloc.start()
    with pytest.raises(Problem, match="larger than 4,194,304 bytes") as error:
        body.unpack(bomb, coding)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.value.status == 413
    assert peak_bytes < 64 << 20


def test_zstd_does_not_take_the_memory_that_it_asks_for() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(b"x" * 100) + packer.flush()
    with pytest.raises(Problem, match="is not zstd") as error:
        body.unpack(packed, "zstd")
    assert error.value.status == 400


@given(some.lists(some.dictionaries(some.text(max_size=5), some.integers(), max_size=3), max_size=20))
def test_a_batch_and_lines_hold_the_same_events(events: list[dict[str, int]]) -> None:
    raw = [json.dumps(event).encode() for event in events]
    assert body.split_events(b"[" + b", ".join(raw) + b"]", body.BATCH[0]).raw == raw
    assert body.split_events(b"\n".join([*raw, b"", b" "]), body.LINES[0]).raw == raw


def test_a_single_event_is_one() -> None:
    assert body.split_events(b'{"a": 1}', "application/json; charset=utf-8") == body.Events([b'{"a": 1}'], True)
    assert body.split_events(b' [{"a":1},2]', "Application/JSON") == body.Events([b'{"a":1}', b"2"], False)


@pytest.mark.parametrize("content", [b"[1,", b"{}", b"", b"[" * 100_000, b"[1] 2"])
def test_what_is_no_array_is_no_batch(content: bytes) -> None:
    with pytest.raises(Problem, match="not a JSON array") as error:
        body.split_events(content, body.BATCH[0])
    assert error.value.status == 400


def test_a_batch_has_a_bound() -> None:
    with pytest.raises(Problem, match="5,001 events, and may have 5,000"):
        body.split_events(b"{}\n" * 5001, body.LINES[0])


@pytest.mark.parametrize(("kind", "coding"), [("text/plain", "identity"), ("", "identity"), (body.LINES[0], "br")])
def test_other_kinds_are_told_which_are_read(kind: str, coding: str) -> None:
    with pytest.raises(Problem, match="send") as error:
        body.check_coding(kind, coding)
    assert error.value.status == 415


@given(some.lists(some.binary(max_size=900), min_size=1, max_size=6), some.sampled_from(["gzip", "zstd"]))
def test_frames_one_after_the_other_are_one_body(parts: list[bytes], coding: str) -> None:
    assert body.unpack(b"".join(map(PACK[coding], parts)), coding) == b"".join(parts)


SKIPPABLE = struct.pack("<II", 0x184D2A5F, 2_000) + bytes(2_000)


def test_frames_that_say_nothing_are_passed_over() -> None:
    pack = PACK["zstd"]
    packed = SKIPPABLE + pack(b"a") + pack(b"") + SKIPPABLE + pack(b"b") + SKIPPABLE
    assert body.unpack(packed, "zstd") == b"ab"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize(
    "after", [b"x", bytes(9), b"garbage" * 200, b"\x1f\x8b", b"\x28\xb5\x2f\xfd", SKIPPABLE[:-1], b'{"id":1}']
)
def test_what_follows_the_last_frame_is_not_dropped(coding: str, after: bytes) -> None:
    with pytest.raises(Problem, match=f"is not {coding}, or is incomplete") as error:
        body.unpack(PACK[coding](b"a" * 600) + after, coding)
    assert error.value.status == 400


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_nothing_is_no_frame_and_frames_have_a_bound(coding: str) -> None:
    for packed in (b"", PACK[coding](b"") * (body.MAX_FRAMES + 1)):
        with pytest.raises(Problem, match=f"is not {coding}, or is incomplete"):
            body.unpack(packed, coding)
    assert body.unpack(PACK[coding](b"ab") * body.MAX_FRAMES, coding) == b"ab" * body.MAX_FRAMES


@pytest.mark.parametrize(("alias", "coding"), [("GZIP", "gzip"), (" x-gzip ", "gzip"), ("identity", "identity")])
def test_codings_have_other_names(alias: str, coding: str) -> None:
    assert body.check_coding(body.LINES[0], alias) == coding


@pytest.mark.parametrize("kind", ["application/json", "application/cloudevents-batch+json", "application/x-ndjson"])
def test_a_text_that_was_cut_within_a_character_costs_no_event(kind: str) -> None:
    event = rb'{"id": "1", "text": "cut \ud83d", "pair": "\ud83d\ude00"}'
    raw = b"[" + event + b"]" if "batch" in kind else event
    (split,) = body.split_events(raw, kind).raw
    assert msgspec.json.decode(split) == {"id": "1", "text": "cut \ufffd", "pair": "\U0001f600"}
