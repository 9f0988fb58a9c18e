"""``control``: what people decided, on the same log and in the same order as what happened."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tallystick.model import Amount, Currency, Label, Model, Name, Names, Text, Time

CONTROL_TYPES = frozenset(
    f"{family}.{act}"
    for family, acts in {
        "scope": "declared assigned",
        "feature": "staged",
        "grant": "created narrowed delegated extended revoked reviewed",
        "price_book": "adopted",
        "price": "learnt",
        "contract": "signed",
        "exchange_rate": "set",
        "commitment": "made",
        "allocation_rule": "set",
        "period": "closed",
        "invoice": "received",
        "credential": "registered rotated frozen revoked incident",
        "model": "pinned",
        "capacity": "declared",
        "budget": "asked allocated lent repaid",
        "dispute": "opened ruled",
        "account": "discovered claimed",
        "access": "requested granted",
        "agreement": "declared",
        "prompt": "registered",
        "portfolio": "set",
        "evaluation": "completed",
        "route": "changed",
        "rollout": "started stepped paused reverted restored",
        "incident": "detected decided resolved",
        "drill": "completed",
        "schema": "registered",
        "translator": "released",
        "rules": "adopted",
        "alert": "acknowledged silenced resolved judged",
        "session": "stopped",
        "identity_horizon": "set",
        "generation": "made_current",
        "subject": "erased",
        "log": "closed",
    }.items()
    for act in acts.split()
)
"""Every decision the log can carry. A type gets a body of its own when a feature first reads it."""

Dimension = Literal[
    "organization", "team", "project", "feature", "environment", "user", "customer", "key", "agent", "session"
]
WINDOW_STEP = 60


class BudgetAllocated(Model):
    """A limit of spend for one scope over a rolling window. The same scope and window again changes it."""

    dimension: Dimension
    scope: Name
    limit: Amount
    currency: Currency
    window_s: Annotated[int, Field(ge=60, le=31 * 86400, multiple_of=WINDOW_STEP)] = Field(
        description="length of the rolling window in seconds, whole minutes from one minute to 31 days"
    )

    @field_validator("limit")
    @classmethod
    def _above_zero(cls, limit: Amount) -> Amount:
        if limit <= 0:
            raise ValueError("must be above zero")
        return limit


class PriceBookAdopted(Model):
    """From here on events are priced by this document, under the name it carries."""

    name: Label
    document: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(description="SHA-256 of the document")


class LogClosed(Model):
    """The last record of each partition of a log that went elsewhere, where it goes on."""

    went_to: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="without user and password")


class GenerationMadeCurrent(Model):
    """All that is derived was derived anew from the log, verified, and answers from here on."""

    generation: Annotated[int, Field(ge=2, le=10**6)] = Field(description="the first one is 1, and nobody said so")
    folds_version: Annotated[int, Field(ge=1, le=10**6)] = Field(description="of what the folds mean that made it")


Scalar = Annotated[str, Field(max_length=256)] | bool | int | None
Facts = Annotated[dict[Label, Scalar], Field(max_length=32)]
BODIES: dict[str, type[Model]] = {
    "budget.allocated": BudgetAllocated,
    "price_book.adopted": PriceBookAdopted,
    "log.closed": LogClosed,
    "generation.made_current": GenerationMadeCurrent,
}


class Control(Model):
    """One decision: who, in what role, why, and from when it holds."""

    control: Label = Field(description="what was decided, one of the list")
    actor: Name | None = Field(default=None, description="a person; a keyed pseudonym on the log")
    role: Label | None = None
    reason: Text | None = None
    effective_at: Time | None = None
    recorded_at: Time | None = None
    supersedes: Name | None = None
    evidence: Names | None = None
    body: BudgetAllocated | PriceBookAdopted | LogClosed | GenerationMadeCurrent | Facts = Field(
        union_mode="left_to_right"
    )

    @field_validator("control")
    @classmethod
    def _known(cls, control: str) -> str:
        if control not in CONTROL_TYPES:
            raise ValueError(f"{control!r} is not one of {', '.join(sorted(CONTROL_TYPES))}")
        return control

    @model_validator(mode="after")
    def _body_of_its_type(self) -> "Control":
        wanted = BODIES.get(self.control)
        if wanted is not None and not isinstance(self.body, wanted):
            raise ValueError(f"the body of {self.control} has the fields {', '.join(wanted.model_fields)}")
        if wanted is None and isinstance(self.body, Model):
            raise ValueError(f"{self.control} does not take the body of another type")
        return self
