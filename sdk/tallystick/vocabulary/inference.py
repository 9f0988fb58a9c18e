"""``inference``: one call to a model, successful, failed or refused."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from tallystick.vocabulary.base import Amount, Count, Currency, Label, Model, Name, Ratio, Tags, sort_by_key
from tallystick.vocabulary.protection import GuessableHash, KeyName, Person, Persons

TokenClass = Literal[
    "input", "cache_read", "cache_write_5m", "cache_write_1h", "cache_write", "output", "reasoning",
    "input_audio", "cache_read_audio", "output_audio", "input_image", "cache_read_image", "output_image",
]  # fmt: skip
"""Disjoint: ``input`` is what no cache served; ``output`` is without ``reasoning``."""

QuantityClass = Literal["requests", "web_searches", "seconds", "images", "characters", "pages", "search_units"]
"""Quantities that are charged for and are no tokens."""

Tokens = Annotated[dict[TokenClass, Count], AfterValidator(sort_by_key)]
Quantities = Annotated[dict[QuantityClass, Count], AfterValidator(sort_by_key)]
Usage = Annotated[dict[Label, Count | dict[Label, Count]], Field(max_length=32), AfterValidator(sort_by_key)]


class ReportedTokens(Model):
    """The provider's own totals, cache and reasoning included. Classes that do not sum to them are wrong."""

    input: Count | None = None
    output: Count | None = None
    total: Count | None = None


class RateLimit(Model):
    """One of the provider's rate-limit headers."""

    dimension: Label
    limit: Count | None = None
    remaining: Count | None = None
    reset_ms: Count | None = None


class Violation(Model):
    """A breach of an answer's output contract: a code and a keyed hash of the path, never the value."""

    code: Label
    path_hash: Name


class Inference(Model):
    """One call to a model. Every field is optional; names follow OpenTelemetry GenAI and FOCUS.

    Fields that are not listed here are kept where they are numbers or booleans.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, bool | int | float]

    # identity
    adapter: Name | None = None
    adapter_version: Name | None = None
    revision: Count | None = Field(
        default=None, description="the greatest revision of an event counts, for sources whose rows grow"
    )
    calls: Annotated[int, Field(ge=1, le=10**12)] | None = Field(
        default=None, description="calls that an aggregate stands for; absent is one call"
    )
    period_s: Count | None = Field(default=None, description="seconds that an aggregate sums, from the event's time on")
    left_out: Annotated[tuple[Label, ...], Field(max_length=32, strict=False)] | None = Field(
        default=None, description="names of the source's fields that did not fit and are left out"
    )
    provider_usage: Usage | None = Field(default=None, description="the provider's usage block, numbers only")
    # call tree
    session: Name | None = None
    root_call: Name | None = None
    parent_call: Name | None = None
    agent: Name | None = None
    agent_version: Name | None = None
    tool: Name | None = None
    tool_arguments_hash: GuessableHash | None = Field(default=None, description="hash of the canonical arguments")
    tool_result_hash: GuessableHash | None = None
    prompt_hash: Name | None = Field(default=None, description="similarity hash of the prompt")
    attempt: Count | None = None
    retry_of: Name | None = None
    fallback_of: Name | None = None
    fallback_reason: Name | None = None
    cached_from: Name | None = None
    # who
    team: Name | None = None
    project: Name | None = None
    feature: Name | None = None
    environment: Name | None = None
    user: Person | None = Field(default=None, description="a person; a keyed pseudonym on the log")
    customer: Person | None = Field(default=None, description="an end customer; a keyed pseudonym on the log")
    acting_for: Persons | None = Field(default=None, description="who acted for whom, the last principal first")
    tags: Tags | None = None
    # by what right
    grant: Name | None = None
    admission: Name | None = None
    priority: Name | None = None
    queued_ms: Count | None = None
    purpose: Literal["production", "evaluation", "development", "batch", "rehearsal"] | None = None
    inference_class: Name | None = None
    # whose key and account
    payer: Literal["platform", "customer"] | None = Field(default=None, description="who owns the provider's key")
    key: KeyName | None = Field(default=None, description="fingerprint of the key, never the key")
    provider_account: Name | None = None
    ingress: Literal["gateway", "direct", "telemetry"] | None = None
    gateway: Name | None = None
    # what answered
    provider: Name | None = None
    model: Name | None = Field(default=None, description="the model that was asked for")
    model_resolved: Name | None = Field(default=None, description="the model that answered")
    deployment: Name | None = None
    region: Name | None = None
    geography: Name | None = Field(default=None, description="where the provider was told to compute, as it is priced")
    service_tier: Name | None = None
    speed: Name | None = Field(default=None, description="mode of speed that has a price of its own, such as fast")
    context_tier: Count | None = Field(
        default=None,
        description="input tokens above which the source says the price tier begins; 0 is no tier",
    )
    response_cache: Literal["hit", "miss"] | None = Field(
        default=None, description="hit: a gateway's cache answered, and no provider was called"
    )
    operation: Name | None = None
    data_class: Name | None = None
    # which assignment
    intent: Name | None = None
    segment: Name | None = None
    prompt: Name | None = Field(default=None, description="id of the prompt, never its text")
    prompt_version: Name | None = None
    variant: Name | None = None
    portfolio_version: Name | None = None
    propensity: Ratio | None = Field(default=None, description="probability of this variant when it was chosen")
    corpus_version: Name | None = None
    # which path
    route: Name | None = None
    route_version: Name | None = None
    rollout: Name | None = None
    rollout_arm: Name | None = None
    configuration_version: Name | None = None
    role: Literal["primary", "fallback", "shadow"] | None = None
    # output contract
    output_mode: Literal["free", "json", "schema", "tool"] | None = None
    output_schema: Name | None = None
    output_schema_hash: Name | None = None
    translator_version: Name | None = None
    parser_version: Name | None = None
    conformance: Literal["ok", "repaired", "failed", "unchecked"] | None = None
    violations: Annotated[tuple[Violation, ...], Field(max_length=64, strict=False)] | None = None
    # result
    status: Literal["ok", "error", "refused", "aborted"] | None = None
    finish_reason: Name | None = None
    error_origin: Literal["customer_key", "provider", "platform", "policy"] | None = None
    error_code: Name | None = None
    latency_ms: Count | None = None
    time_to_first_token_ms: Count | None = None
    rate_limits: Annotated[tuple[RateLimit, ...], Field(max_length=16, strict=False)] | None = None
    # quantities
    tokens: Tokens | None = None
    reported_tokens: ReportedTokens | None = None
    max_tokens: Count | None = Field(default=None, description="the most output tokens that were asked for")
    quantities: Quantities | None = None
    usage_source: Literal["reported", "estimated", "missing", "unknown"] | None = Field(
        default=None,
        description="missing: there are no tokens; unknown: there is usage that could not be read as classes; "
        "reported or estimated: tokens or quantities are given",
    )
    claimed_cost: Amount | None = Field(default=None, description="what the source says it cost: a claim, never a cost")
    claimed_currency: Currency | None = None

    @model_validator(mode="after")
    def _check_usage_source(self) -> "Inference":
        if self.usage_source is not None and (contradiction := usage_contradiction(vars(self))):
            raise ValueError(contradiction)
        return self


def usage_contradiction(fields: Mapping[str, object]) -> str | None:
    """Return how ``usage_source`` and the usage of a call contradict each other; None where they agree.

    Zero is not absent: ``{"input": 0}`` is usage. A counted request may lack its tokens, so ``quantities`` agree with
    ``missing``.
    """
    source, reported = fields.get("usage_source"), fields.get("reported_tokens")
    if source is None or (source == "reported" and fields.get("tokens")):
        return None
    totals = (
        reported if isinstance(reported, Mapping) else vars(reported) if isinstance(reported, ReportedTokens) else {}
    )
    has_totals = any(total is not None for total in totals.values())
    has_usage = bool(fields.get("tokens")) or has_totals or bool(fields.get("provider_usage"))
    if source == "unknown" and fields.get("tokens"):
        return "usage_source is 'unknown' beside tokens: say 'reported' or 'estimated', or leave the tokens out"
    if source == "missing" and has_usage:
        return "usage_source is 'missing' beside usage: say 'reported' or 'estimated', or leave it out"
    if source in ("reported", "estimated") and not has_usage and not fields.get("quantities"):
        return f"usage_source is {source!r} without tokens or quantities: say 'missing', or leave it out"
    return None
