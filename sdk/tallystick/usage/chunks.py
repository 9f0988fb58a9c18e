"""Merge the usage of a stream's chunks, in any grouping. Pure.

Providers' counts in a stream are cumulative, so the greatest of each name is the last, and a chunk without usage takes
nothing away. LangChain's chunks and the steps of the Vercel AI SDK are shares, which are added. Responses of several
ids are several responses.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from tallystick.usage.base import Block, Fields, get_path, get_word, to_mapping
from tallystick.usage.block import is_countable, parse_count
from tallystick.usage.envelope import BARE, Payload, list_payloads, read_words
from tallystick.usage.searches import SEARCHES, find_searches, is_call

ID_NAMES = ("id", "responseId", "response_id", "item_id")  # the last one: transcriptions of a realtime session
STREAM_START = "message_start"
"""Anthropic's first event, whose output is a placeholder."""
SHARE_TYPES = frozenset(("AIMessageChunk", "finish-step", "step-finish"))
KEPT_NAMES = ("usage_metadata", "usageMetadata", "meta", "usage_info", "amazon-bedrock-invocationMetrics", BARE)
"""Names of blocks that keep their name in the merged response; every other one is its ``usage``."""
PLACE_NAMES = ("object", "providerMetadata", "experimental_providerMetadata")
"""Names beside a block that tell how to read it."""


class Share(NamedTuple):
    """The usage of one response: its blocks by name with their greatest counts, and the sums of those that are
    shares."""

    greatest: Fields
    sums: Fields


NO_SHARE = Share({}, {})


class MergedChunks(NamedTuple):
    """What chunks say together, by the id of their response; empty where they name none. It is a chunk again."""

    shares: dict[str, Share]
    words: Fields

    def list_responses(self) -> list[Block] | None:
        """List the responses with their merged usage; None where a chunk could belong to several."""
        anonymous = self.shares.get("", NO_SHARE)
        merged = [share for id, share in self.shares.items() if id]
        if len(merged) > 1 and (anonymous.sums or anonymous.greatest.keys() - {SEARCHES}):
            return None
        if merged:
            merged[0] = _merge_shares(merged[0], _leave_out_searches(anonymous, merged))
        merged = merged or [anonymous]
        return [{**self.words, **_merge_values(share.greatest, share.sums)} for share in merged]


NO_CHUNKS = MergedChunks({}, {})


def merge_chunks(chunks: Iterable[object]) -> MergedChunks:
    """Merge chunks, events, responses or what was merged before. The grouping changes nothing."""
    merged = NO_CHUNKS
    for chunk in chunks:
        part = chunk if isinstance(chunk, MergedChunks) else read_chunk(chunk)
        merged = _join(merged, part)
    return merged


def read_chunk(chunk: object) -> MergedChunks:
    """Read the usage of one chunk, and the words around it."""
    if isinstance(chunk, (list, tuple)):
        return merge_chunks(chunk)
    response = to_mapping(chunk)
    payload = next((payload for payload in list_payloads(response) if _has_usage(payload)), None)
    answers = (response, get_path(response, "response")) if "response" in response else (response,)
    searches = {SEARCHES: calls} if (calls := find_searches(answers)) else {}
    if payload is None:
        payload = Payload({}, (), (response,))
        words = {WORD_NAMES[name]: word for name, word in read_words(payload).items() if name in WORD_NAMES}
        return MergedChunks({_find_id(answers[::-1]): Share(searches, {})} if searches else {}, words)
    words = {WORD_NAMES[name]: word for name, word in read_words(payload).items() if name in WORD_NAMES}
    for envelope in payload.envelopes if payload.path else ():
        words |= {name: envelope[name] for name in PLACE_NAMES if envelope.get(name) is not None}
        if (kind := get_word(envelope, "type")) and kind.startswith("image_"):
            words["type"] = kind
    last = payload.path[-1] if payload.path else BARE
    name = last if last in KEPT_NAMES else "usage"
    values = _clean(payload.block)
    if get_word(response, "type") == STREAM_START and values:
        # Anthropic writes a placeholder here, and the output at the end: a stream that was left has none.
        values = {key: value for key, value in values.items() if key != "output_tokens"}
    block = {str(name): values}
    is_share = get_word(response, "type") in SHARE_TYPES
    if not is_share:
        return MergedChunks({_find_id(payload.envelopes if payload.path else ()): Share(block | searches, {})}, words)
    return MergedChunks({"": Share(searches, block)}, words)


WORD_NAMES = {
    "model_resolved": "model", "service_tier": "service_tier", "speed": "speed", "geography": "inference_geo",
}  # fmt: skip
"""Fields that words fill, and the names under which a response gives them."""


def _has_usage(payload: Payload) -> bool:
    """Tell whether a block of a chunk has counts, or names of counts that are zero."""
    if not payload.path:
        return any(is_countable(str(name)) and parse_count(value) is not None for name, value in payload.block.items())
    return any(
        value is not None and (is_countable(str(name)) or to_mapping(value)) for name, value in payload.block.items()
    )


def _find_id(envelopes: tuple[Block, ...]) -> str:
    """Return the id of a chunk's response: of the outermost object around its usage that has one."""
    return next((id for envelope in reversed(envelopes) if (id := get_word(envelope, *ID_NAMES))), "")


def _leave_out_searches(anonymous: Share, shares: list[Share]) -> Share:
    """Leave out the searches of events without a response's id that the responses list themselves: all calls where each
    response lists its own, since some hosts name an item otherwise in its events."""
    if SEARCHES not in anonymous.greatest:
        return anonymous
    lists = [share.greatest.get(SEARCHES, {}) for share in shares]
    listed = {key for searches in lists for key in searches}
    are_calls_listed = all(lists)
    rest = {
        key: kind
        for key, kind in anonymous.greatest[SEARCHES].items()
        if key not in listed and not (are_calls_listed and is_call(kind))
    }
    return anonymous._replace(greatest={**anonymous.greatest, SEARCHES: rest})


def _join(first: MergedChunks, second: MergedChunks) -> MergedChunks:
    if not first.shares and not first.words:
        return second
    if not second.shares and all(first.words.get(name) == word for name, word in second.words.items()):
        return first  # as most chunks of a stream: the words of all, and no usage
    shares = dict(first.shares)
    for id, share in second.shares.items():
        shares[id] = _merge_shares(shares[id], share) if id in shares else share
    return MergedChunks(shares, _merge_values(first.words, second.words))


def _merge_shares(first: Share, second: Share) -> Share:
    return Share(_merge_values(first.greatest, second.greatest), _merge_values(first.sums, second.sums, is_sum=True))


def _merge_values(first: Any, second: Any, *, is_sum: bool = False) -> Any:
    """Merge two values: the later, the greater or the summed count, name by name in objects. A value that is no count
    stays, so that the block it spoils is not read."""
    if first is None or second is None:
        return second if first is None else first
    rank = _rank(first)
    if rank != _rank(second):
        return first if rank > _rank(second) else second
    if rank == COUNT:
        counts = parse_count(first) or 0, parse_count(second) or 0
        return sum(counts) if is_sum else max(counts)
    if rank == OBJECT:
        merged = dict(first)
        for name, value in second.items():
            merged[name] = _merge_values(merged.get(name), value, is_sum=is_sum)
        return merged
    return second


WORD, COUNT, LIST, OBJECT, NO_COUNT = range(5)


def _rank(value: object) -> int:
    """Rank the kinds of values, of which the higher one stays."""
    if isinstance(value, Mapping):
        return OBJECT
    if isinstance(value, (list, tuple)):
        return LIST
    if isinstance(value, bool) or (isinstance(value, str) and parse_count(value) is None):
        return WORD
    return COUNT if parse_count(value) is not None else NO_COUNT


def _clean(value: object, depth: int = 0) -> Any:
    """Return a block as plain values: its numbers, short words, objects and lists, without what is empty."""
    if isinstance(value, (bool, int, float, Decimal)):
        return value
    if isinstance(value, str):
        return value if len(value) <= 64 else None
    if depth > 6:
        return None
    if isinstance(value, (list, tuple)):
        return [item for item in (_clean(item, depth + 1) for item in value) if item is not None] or None
    word = getattr(value, "value", None)
    if isinstance(word, str):
        return word
    items = ((name, _clean(item, depth + 1)) for name, item in to_mapping(value).items())
    return {name: item for name, item in items if isinstance(name, str) and item is not None} or None
