"""What the page Explore groups and filters by, and the mart that holds it (pure).

A view reads the first source, in the order of ``SOURCES``, that has all its dimensions and its measure: sums by the
hour where they do, else every call of the period.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

TAG = "tag:"
"""Begins the name of a dimension that is a tag: ``tag:epic``."""
TREE = "team tree"
CLASS = "token class"


class Source(NamedTuple):
    """A mart as the page reads it: ``mart`` with the column of its time, and the expressions of its measures.

    ``edges`` is the mart of single calls that has what lies outside of whole hours, where the mart sums hours.
    ``lacks`` names the measures that it cannot give.
    """

    name: str
    mart: str
    time: str
    columns: Mapping[str, str]
    edges: str = ""
    lacks: frozenset[str] = frozenset()


class Dimension(NamedTuple):
    """A dimension by its name in links, with its column in each source that has it."""

    name: str
    columns: Mapping[str, str]


_NO_COST = "null::Nullable(Decimal(38, 12))"
_USAGE = {
    "tokens": "tokens",
    "unpriced_tokens": "unpriced_tokens",
    "calls": "calls",
    "uncosted_calls": "unknown_calls + unpriced_calls",
    "quarantined_calls": "quarantined_calls",
    "billed_cost": "billed_cost",
    "list_cost": "list_cost",
    "effective_cost": "effective_cost",
    "gateway_saved": "saved_cost",
    "cache_saved": _NO_COST,
    "successes": "toInt64(0)",
}
_CALLS = _USAGE | {
    "unpriced_tokens": "if(pricing = 'priced', toInt64(0), unpriced_quantity)",
    "uncosted_calls": "if(pricing in ('priced', 'free'), toInt64(0), calls)",
    "quarantined_calls": "toInt64(0)",
    "cache_saved": "coalesce(cache_saved_cost - cache_write_premium, cache_saved_cost, -cache_write_premium)",
}
_OUTCOMES = _USAGE | {
    "unpriced_tokens": "toInt64(0)",
    "uncosted_calls": "toInt64(0)",
    "quarantined_calls": "toInt64(0)",
    "effective_cost": _NO_COST,
    "gateway_saved": _NO_COST,
    "successes": "toInt64(is_success)",
}
_NO_OUTCOMES = frozenset({"cost per success"})
SOURCES = (
    Source("hours", "fct_usage_hourly", "charge_hour", _USAGE, "fct_usage", _NO_OUTCOMES | {"cache savings"}),
    Source("usage", "fct_attributed_usage", "occurred_at", _USAGE, lacks=_NO_OUTCOMES | {"cache savings"}),
    Source("calls", "fct_attributed_calls", "occurred_at", _CALLS, lacks=_NO_OUTCOMES),
    Source(
        "outcomes", "fct_outcome_costs", "started_at", _OUTCOMES,
        lacks=frozenset({"notional", "cost per 1M tokens", "cache savings", "gateway savings"}),
    ),
)  # fmt: skip
"""From the fastest to the slowest."""

_EVERYWHERE = ("hours", "usage", "calls")
_SINGLE = ("usage", "calls")


def _name(name: str, sources: Iterable[str], column: str = "") -> Dimension:
    return Dimension(name, dict.fromkeys(sources, column or name.replace(" ", "_")))


DIMENSIONS = (
    _name("team", _EVERYWHERE),
    _name("model", _EVERYWHERE),
    _name("provider", _EVERYWHERE),
    _name("feature", _EVERYWHERE),
    _name("project", _EVERYWHERE),
    _name("agent", _EVERYWHERE),
    _name("customer", _EVERYWHERE),
    _name("environment", _EVERYWHERE),
    _name("organization", (*_EVERYWHERE, "outcomes")),
    _name("payer", _EVERYWHERE),
    _name(TREE, _SINGLE, "owner_path"),
    _name("owner", (*_SINGLE, "outcomes"), "owner_team"),
    _name("cost center", _SINGLE, "owner_cost_center"),
    _name("user", _SINGLE, "user_pseudonym"),
    _name("key", _SINGLE, "key_fingerprint"),
    _name("account", _SINGLE, "provider_account"),
    _name("session", _SINGLE),
    _name(CLASS, ("usage",), "class"),
    _name("region", _SINGLE),
    _name("geography", _SINGLE),
    _name("service tier", _SINGLE),
    _name("purpose", _SINGLE),
    _name("status", _SINGLE),
    _name("tool", ("calls",)),
    Dimension("retry", {"calls": "if(is_retry, 'retry', 'first attempt')"}),
    _name("metric", ("outcomes",)),
    Dimension("outcome", {"outcomes": "concat(metric, if(is_success, ': success', ': failure'))"}),
)
"""Those of the sums by hour first. Names of tags come after them: ``tag:KEY``."""
_BY_NAME = {dimension.name: dimension for dimension in DIMENSIONS}


def find_dimension(name: str) -> Dimension | None:
    """Return the dimension of a name in a link; None where there is none."""
    if name.startswith(TAG) and len(name) > len(TAG):
        return Dimension(name, {"calls": f"tags[{{{name_tag_parameter(name)}:String}}]"})
    return _BY_NAME.get(name)


def name_tag_parameter(name: str) -> str:
    """Return the parameter of a query that has the key of a tag."""
    return f"tag_{name.removeprefix(TAG).encode().hex()}"


def list_dimensions(measure: str) -> list[str]:
    """List the dimensions by which a measure is known, without tags."""
    return [dimension.name for dimension in DIMENSIONS if choose_source([dimension.name], measure)]


def choose_source(names: Sequence[str], measure: str) -> Source | None:
    """Return the fastest source with all these dimensions and a measure; None where no mart has them together."""
    dimensions = [find_dimension(name) for name in names]
    if CLASS in names and measure in ("calls", "cost per call", "gateway savings"):
        return None
    return next(
        (
            source
            for source in SOURCES
            if measure not in source.lacks
            and all(dimension and source.name in dimension.columns for dimension in dimensions)
        ),
        None,
    )
