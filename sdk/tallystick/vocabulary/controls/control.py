"""``control``: what people decided, on the same log and in the same order as what happened."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from tallystick.vocabulary.base import Label, Model, Name, Names, Text, Time
from tallystick.vocabulary.controls.budgets import BudgetAllocated
from tallystick.vocabulary.controls.log import GenerationActivated, LogClosed
from tallystick.vocabulary.controls.prices import PriceBookAdopted

CONTROL_TYPES = frozenset(
    f"{family}.{act}"
    for family, acts in {
        "scope": "declared assigned",
        "feature": "staged",
        "grant": "created narrowed delegated extended revoked reviewed",
        "price_book": "adopted",
        "price": "learned",
        "contract": "signed",
        "exchange_rate": "set",
        "commitment": "made",
        "allocation_rule": "set",
        "period": "closed",
        "invoice": "received",
        "credential": "registered rotated frozen revoked incident",
        "model": "pinned",
        "capacity": "declared",
        "budget": "requested allocated lent repaid",
        "dispute": "opened resolved",
        "account": "discovered claimed",
        "access": "requested granted",
        "agreement": "declared",
        "prompt": "registered",
        "portfolio": "set",
        "evaluation": "completed",
        "route": "changed",
        "rollout": "started advanced paused reverted restored",
        "incident": "detected decided resolved",
        "drill": "completed",
        "schema": "registered",
        "translator": "released",
        "rules": "adopted",
        "alert": "acknowledged silenced resolved labeled",
        "session": "stopped",
        "identity_horizon": "set",
        "generation": "activated",
        "subject": "erased",
        "log": "closed",
    }.items()
    for act in acts.split()
)
"""Every decision the log can carry. A type gets a body of its own when a feature first reads it."""


Scalar = Annotated[str, Field(max_length=256)] | bool | int | None
Facts = Annotated[dict[Label, Scalar], Field(max_length=32)]
BODIES: dict[str, type[Model]] = {
    "budget.allocated": BudgetAllocated,
    "price_book.adopted": PriceBookAdopted,
    "log.closed": LogClosed,
    "generation.activated": GenerationActivated,
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
    body: BudgetAllocated | PriceBookAdopted | LogClosed | GenerationActivated | Facts = Field(
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
