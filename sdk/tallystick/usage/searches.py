"""Count the searches of the web that an answer lists beside its usage (pure).

Providers charge for searches by number, and some count them in no usage block: OpenAI's responses have an item for each
call of the tool, of which only those that search are charged; Gemini's answers have the queries of their grounding.
Documentation: developers.openai.com/api/docs/guides/tools-web-search, ai.google.dev/gemini-api/docs/google-search.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b

from tallystick.usage.base import Block, Context, get_path, get_term, to_mapping

SEARCHES = "merged_searches"
"""The name under which merged chunks keep the searches of their response."""
SEARCH, QUERY, GROUNDED = "search", "query", "web"
SEARCH_CALL, FAILED = "web_search_call", "failed"

Searches = dict[str, str]
"""Searches by a key that repeats with them: the id of a call, with its action, or the digest of a query."""

_SEARCH_MODEL = re.compile(r"(?:^|[/ ])gpt-\S*-search-(?:preview|api)\b")
_GEMINI = re.compile(r"gemini-(?:live-|robotics-er-)?(?P<version>\d+)")
_LAST_PROMPT_CHARGED_VERSION = 2
"""Gemini up to 2.5, for which a grounded prompt is charged once, whatever the number of its queries."""
_NAMES = frozenset(("output", "item", "candidates", "serverContent", "server_content", SEARCHES))


def find_searches(answers: Iterable[Block]) -> Searches:
    """Find the searches in answers, or in an event of a stream. Queries are kept as digests: they are content."""
    searches: Searches = {}
    for answer in answers:
        if type(answer) is dict and _NAMES.isdisjoint(answer):
            continue
        searches |= to_mapping(answer.get(SEARCHES))
        for place, item in enumerate(_get_list(answer, "output")):
            searches |= _find_call(to_mapping(item), place)
        searches |= _find_call(to_mapping(answer.get("item")), answer.get("output_index"))
        for part in (*_get_list(answer, "candidates"), answer.get("serverContent"), answer.get("server_content")):
            searches |= _find_queries(to_mapping(part))
    return searches


def is_call(kind: str) -> bool:
    """Tell whether a search, by its value among searches, is a call of a tool."""
    return kind not in (QUERY, GROUNDED)


def count_search_calls(context: Context) -> int:
    """Count the calls of OpenAI's search tool that are charged: those that search. Opening a page, or finding a text in
    it, is not; a call that does not say its action is a search."""
    return sum(action == SEARCH for action in find_searches(context.envelopes[:1]).values())


def count_search_model(context: Context) -> int:
    """Return one search for OpenAI's search models of chat completions: they search before each answer."""
    return int(_SEARCH_MODEL.search((context.model or "").lower()) is not None)


def count_grounding(context: Context) -> int:
    """Count the searches of Google that an answer of Gemini lists and that are charged: each query once. One that cites
    the web and lists no query has one."""
    searches = find_searches(context.envelopes[:1])
    queries = sum(kind == QUERY for kind in searches.values()) or int(GROUNDED in searches)
    return count_charged(queries, context)


def count_answer_searches(context: Context) -> int:
    """Count the charged searches that an answer of either provider lists."""
    return count_search_calls(context) or count_grounding(context)


def count_charged(queries: int, context: Context) -> int:
    """Return the queries that Google charges for: all, or up to Gemini 2.5 one for the whole prompt."""
    model = _GEMINI.search((context.model or "").lower())  # the one that answered comes first
    is_charged_once = model is not None and int(model["version"]) <= _LAST_PROMPT_CHARGED_VERSION
    return min(queries, 1) if is_charged_once else queries


def _find_call(item: Block, place: object) -> Searches:
    if item.get("type") != SEARCH_CALL:
        return {}
    action = get_term(to_mapping(item.get("action")), "type") or SEARCH
    return {get_term(item, "id") or f"#{place}": FAILED if item.get("status") == FAILED else action}


def _find_queries(part: Block) -> Searches:
    metadata = get_path(part, "groundingMetadata") or get_path(part, "grounding_metadata")
    if not metadata:
        return {}
    queries = _get_list(metadata, "webSearchQueries") or _get_list(metadata, "web_search_queries")
    texts = [query.strip() for query in queries if isinstance(query, str) and query.strip()]
    searches = {blake2b(text.encode(errors="replace"), digest_size=16).hexdigest(): QUERY for text in texts}
    chunks = _get_list(metadata, "groundingChunks") or _get_list(metadata, "grounding_chunks")
    return searches | (
        {GROUNDED: GROUNDED} if any(to_mapping(to_mapping(chunk).get("web")) for chunk in chunks) else {}
    )


def _get_list(block: Block, name: str) -> list[object]:
    value = block.get(name)
    return list(value) if isinstance(value, (list, tuple)) else []
