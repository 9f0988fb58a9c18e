"""The dimensions of an entry and the other fields of a call: the list behind tables, views, models, pages and audit.

The vocabulary (``tallystick.Inference``) defines what an event may say, and ``docs/vocabulary.md`` its names in
OpenTelemetry and FOCUS. This list adds how the warehouse stores a field and how far the marts carry it. To add a
dimension, move its line from ``ATTRIBUTES`` to ``DIMENSIONS`` (or write one, beside a new field of the vocabulary) and
run ``python tools/dimensions.py``, which writes it into the SQL and YAML files. Tests compare list and files.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from tallystick.vocabulary import scope

TEXT = "LowCardinality(String)"
"""A text with few distinct values, stored once each: a team, a model."""
ID = "String"
"""A text with many distinct values, or one that SQL computes: a session, a hash."""
COUNT = "Nullable(UInt64)"
AMOUNT = "Nullable(Decimal(38, 12))"
LIST = "Array(String)"
MAP = "Map(LowCardinality(String), String)"


@dataclass(frozen=True)
class Field:
    """A field of the vocabulary as a column of the warehouse.

    ``type`` is ClickHouse's: an absent text is the empty one, an absent number is null. ``description`` is half a
    sentence, without unit, absence or full stop. ``is_person``: the value is a keyed pseudonym on the log. ``unit`` is
    that of a number.
    """

    name: str
    type: str
    description: str
    is_person: bool = False
    unit: str = ""

    @property
    def text(self) -> str:
        """Return the description as a sentence, with what an absent value is, and the unit."""
        absent = "null" if self.type.startswith("Nullable") else "empty"
        unit = f" Unit: {self.unit}." if self.unit else ""
        return f"{self.description}; {absent} if absent.{unit}"


@dataclass(frozen=True)
class Dimension(Field):
    """A field by which entries are grouped; ``tally.entries`` repeats it beside each line.

    ``column`` is the name in the models, where that differs. ``marts`` says which carry it: ``all`` includes the sums
    (``fct_usage``, ``fct_daily_costs``, ``fct_calls``), so it should have few distinct values; ``entries`` is
    ``fct_entries`` alone. ``mart`` is the field that the marts carry in its place, under a name and text of its own.
    """

    column: str = ""
    marts: Literal["all", "entries", "none"] = "entries"
    mart: Field | None = None

    @property
    def column_name(self) -> str:
        """Return the name in the staging and intermediate models."""
        return self.column or self.name

    @property
    def mart_field(self) -> Field:
        """Return the field that the marts carry."""
        return self.mart or Field(self.column_name, self.type, self.description, self.is_person, self.unit)


DIMENSIONS = (
    # what answered
    Dimension("provider", TEXT, "Provider of the API", marts="all"),
    Dimension("provider_account", TEXT, "Account or workspace at the provider"),
    Dimension(
        "model", TEXT, "Model that was requested", column="model_requested", marts="all",
        mart=Field("model", ID, "Model that answered, else the one that was requested"),
    ),
    Dimension("model_resolved", TEXT, "Model that answered", marts="none"),
    Dimension("service_tier", TEXT, "Service tier that served the call"),
    Dimension("speed", TEXT, "Mode of speed that has a price of its own, such as `fast`"),
    Dimension("geography", TEXT, "Where the provider was told to compute, as it is priced"),
    Dimension("region", TEXT, "Region that served the call"),
    Dimension(
        "context_tier", COUNT, "Input tokens above which the source says the price tier begins; 0 is no tier",
        unit="tokens",
    ),
    # for whom
    Dimension("team", TEXT, "Team that made the call", marts="all"),
    Dimension("project", TEXT, "Project that the call belongs to", marts="all"),
    Dimension("feature", TEXT, "Feature of the product", marts="all"),
    Dimension("agent", TEXT, "Agent that made the call", marts="all"),
    Dimension("session", ID, "Conversation, thread or run of an agent"),
    Dimension("customer", TEXT, "Keyed pseudonym of the end customer", is_person=True, marts="all"),
    Dimension("user", ID, "Keyed pseudonym of the user", is_person=True, column="user_pseudonym"),
    Dimension("environment", TEXT, "For example `production` or `staging`", marts="all"),
    Dimension("purpose", TEXT, "`production`, `evaluation`, `development`, `batch` or `rehearsal`"),
    # whose key
    Dimension("payer", TEXT, "Owner of the provider's key: `platform` (also where absent) or `customer`", marts="all"),
    Dimension("key", TEXT, "Fingerprint of the provider's key, never the key", column="key_fingerprint"),
    # the result
    Dimension("status", TEXT, "`ok`, `error`, `refused` or `aborted`"),
)  # fmt: skip
"""In the order of the columns. ``fct_daily_costs`` hashes those of ``marts="all"`` in this order as its key."""

ATTRIBUTES = (
    # call tree
    Field("root_call", ID, "First call of the call tree"),
    Field("parent_call", ID, "Call that caused this one"),
    Field("agent_version", TEXT, "Version of the agent"),
    Field("tool", TEXT, "Tool that was called"),
    Field("tool_arguments_hash", ID, "Hash of the tool's canonical arguments"),
    Field("tool_result_hash", ID, "Hash of the tool's result"),
    Field("prompt_hash", ID, "Similarity hash of the prompt"),
    Field("attempt", COUNT, "Number of this attempt", unit="a number, from 1"),
    Field("retry_of", ID, "Call that this one repeats after an error"),
    Field("fallback_of", ID, "Call that this one stands in for"),
    Field("fallback_reason", TEXT, "Reason of the fallback"),
    Field("cached_from", ID, "Call whose answer was used again"),
    # for whom
    Field("acting_for", LIST, "Chain of principals, the last one first; pseudonyms", is_person=True),
    Field("tags", MAP, "Up to 32 more labels"),
    # by what right
    Field("grant", TEXT, "Grant that allowed the call"),
    Field("admission", ID, "Admission that allowed the call"),
    Field("priority", TEXT, "Priority in the queue"),
    Field("queued_ms", COUNT, "Time in a queue before the provider was called", unit="milliseconds"),
    Field("inference_class", TEXT, "Class of service that the caller asked for"),
    # how it was seen
    Field("ingress", TEXT, "`gateway`, `direct` or `telemetry`"),
    Field("gateway", TEXT, "Id of the gateway"),
    # what answered
    Field("deployment", TEXT, "Deployment at the provider"),
    Field("operation", TEXT, "For example `chat` or `embeddings`"),
    Field("data_class", TEXT, "Data class of the input"),
    Field("response_cache", TEXT, "`hit` where a gateway's cache answered and no provider was called, or `miss`"),
    # which assignment
    Field("intent", TEXT, "Intent that routing recognised"),
    Field("segment", TEXT, "Segment of users or traffic"),
    Field("prompt", TEXT, "Id of the prompt, never its text"),
    Field("prompt_version", TEXT, "Version of the prompt"),
    Field("variant", TEXT, "Variant of an experiment"),
    Field("portfolio_version", TEXT, "Version of the portfolio that chose the variant"),
    Field("propensity", AMOUNT, "Probability of the variant when it was chosen", unit="a share, from 0 to 1"),
    Field("corpus_version", TEXT, "Version of the retrieval corpus"),
    # which path
    Field("route", TEXT, "Route of the gateway"),
    Field("route_version", TEXT, "Version of the route"),
    Field("rollout", TEXT, "Rollout that the call belongs to"),
    Field("rollout_arm", TEXT, "Arm of the rollout"),
    Field("configuration_version", TEXT, "Version of the configuration"),
    Field("role", TEXT, "`primary`, `fallback` or `shadow`"),
    # output contract
    Field("output_mode", TEXT, "`free`, `json`, `schema` or `tool`"),
    Field("output_schema", TEXT, "Name of the output schema"),
    Field("output_schema_hash", TEXT, "Hash of the output schema"),
    Field("translator_version", TEXT, "Version of the translator"),
    Field("parser_version", TEXT, "Version of the parser"),
    Field("conformance", TEXT, "`ok`, `repaired`, `failed` or `unchecked`"),
    # the result
    Field("finish_reason", TEXT, "Reason why the model stopped"),
    Field("error_origin", TEXT, "`customer_key`, `provider`, `platform` or `policy`"),
    Field("error_code", TEXT, "Code of the error"),
    Field("latency_ms", COUNT, "Duration of the call", unit="milliseconds"),
    Field("time_to_first_token_ms", COUNT, "Time to the first token", unit="milliseconds"),
    # usage and claims
    Field("max_tokens", COUNT, "Limit of output tokens that was requested", unit="tokens"),
    Field("usage_source", TEXT, "`reported`, `estimated`, `missing` or `unknown`"),
    Field("claimed_cost", AMOUNT, "Cost that the source claims; never an entry's cost", unit="`claimed_currency`"),
    Field("claimed_currency", TEXT, "ISO 4217 code of the claimed cost"),
    # what read it
    Field("adapter", TEXT, "Adapter that read the source's format"),
    Field("adapter_version", TEXT, "Version of the adapter"),
    Field("revision", COUNT, "Revision of an event, as its source's row grows; the greatest counts", unit="a number"),
    Field("calls", COUNT, "Calls that an aggregate stands for; one where absent", unit="calls"),
    Field("period_s", COUNT, "Stretch of time that an aggregate sums, from the event's time on", unit="seconds"),
    Field("left_out", LIST, "Names of the source's fields that did not fit and are left out"),
)
"""The fields that ``tally.events`` keeps of a call beside its dimensions, in the order of the columns."""

FILTERS = ("team", "model", "feature", "provider", "agent", "customer")
"""Dimensions by which pages filter and group, in the order of the controls. The marts carry each in the sums."""

BUDGET_DIMENSIONS: tuple[str, ...] = get_args(scope.Dimension)
"""The dimensions that a budget can limit, as the vocabulary defines them, and the organization."""
