"""Requests of callers: an ``admission`` asks whether a call may be made, a ``lease`` for a slice of grants. The answers
are derived, as decisions (docs/rules.md, R19)."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tallystick.vocabulary.base import Amount, Count, Currency, Model, Name, Quantile
from tallystick.vocabulary.protection import KeyName, Person

SCOPES = ("team", "project", "feature", "environment", "user", "customer", "key", "agent", "session")


class Request(Model):
    """The scopes for which a call is made, and the grant by whose right."""

    grant: Name | None = Field(default=None, description="grant of one of the scopes, where the caller chooses it")
    team: Name | None = None
    project: Name | None = None
    feature: Name | None = None
    environment: Name | None = None
    user: Person | None = Field(default=None, description="a person; a keyed pseudonym on the log")
    customer: Person | None = Field(default=None, description="an end customer; a keyed pseudonym on the log")
    key: KeyName | None = Field(default=None, description="fingerprint of the key, never the key")
    agent: Name | None = None
    session: Name | None = None

    def has_scope(self) -> bool:
        """Tell whether a scope is named."""
        return any(getattr(self, name) is not None for name in Request.model_fields)


class Admission(Request):
    """May this call be made? The id of the event is the admission's name, which the inference repeats in ``admission``.
    A release says that the call is not made."""

    action: Literal["ask", "release"] | None = Field(default=None, description="ask where absent")
    admission: Name | None = Field(default=None, description="of a release, the admission that is not used")
    provider: Name | None = None
    model: Name | None = Field(default=None, description="the model that is to be called")
    region: Name | None = None
    operation: Name | None = None
    data_class: Name | None = None
    purpose: Literal["production", "evaluation", "development", "batch", "rehearsal"] | None = None
    inference_class: Name | None = None
    service_tier: Name | None = None
    payer: Literal["platform", "customer"] | None = None
    input_tokens: Count | None = Field(default=None, description="input tokens of all its calls, at most")
    max_tokens: Count | None = Field(default=None, description="output tokens of all its calls, at most")
    calls: Annotated[int, Field(ge=1, le=10**6)] | None = Field(default=None, description="one where absent")
    ttl_s: Annotated[int, Field(ge=10, le=86400)] | None = Field(
        default=None, description="seconds until the reservation expires; 900 where absent"
    )
    estimate: Quantile | None = Field(
        default=None,
        description="quantile of what calls like it cost, which is reserved in place of the most that it may cost",
    )

    @model_validator(mode="after")
    def _check(self) -> "Admission":
        if (self.action == "release") != (self.admission is not None):
            raise ValueError("admission goes with the action release: give both, or none")
        if self.action == "release" and len(self.model_fields_set) > 2:
            raise ValueError("a release names its admission, and nothing else")
        return self


class PricedModel(Model):
    """Calls whose greatest prices a lease is to say."""

    provider: Name | None = None
    model: Name
    region: Name | None = None
    service_tier: Name | None = None


class Lease(Request):
    """A slice of the grants of these scopes, from which its holder admits calls in memory. The id of the event is the
    lease's name, which the inferences repeat in ``admission``. A return gives back what is not used."""

    action: Literal["ask", "return"] | None = Field(default=None, description="ask where absent")
    lease: Name | None = Field(default=None, description="of a return, the lease")
    holder: Name | None = Field(default=None, description="gateway or process that holds it")
    billed: Amount | None = Field(default=None, description="billed cost that is asked for, above zero, or given back")
    notional: Amount | None = Field(default=None, description="list cost that is asked for, above zero, or given back")
    currency: Currency | None = None
    tokens: Count | None = Field(default=None, description="tokens that are asked for, above zero, or given back")
    calls: Count | None = Field(default=None, description="calls that are asked for, above zero, or given back")
    models: Annotated[tuple[PricedModel, ...], Field(max_length=64)] | None = Field(
        default=None, description="models whose greatest prices the answer says, for a holder of money"
    )
    ttl_s: Annotated[int, Field(ge=1, le=3600)] | None = Field(
        default=None, description="seconds for which it admits; 60 where absent"
    )
    settle_s: Annotated[int, Field(ge=0, le=86400)] | None = Field(
        default=None, description="seconds more in which what it admitted may be settled; 900 where absent"
    )

    @field_validator("billed", "notional", "tokens", "calls")
    @classmethod
    def _check_amount(cls, amount: Decimal | int | None, info: ValidationInfo) -> Decimal | int | None:
        if amount == 0 and info.data.get("action") != "return":
            raise ValueError(
                f"{info.field_name} is 0: a lease of nothing admits nothing: ask for more, or leave it out"
            )
        return amount

    @model_validator(mode="after")
    def _check(self) -> "Lease":
        if (self.action == "return") != (self.lease is not None):
            raise ValueError("lease goes with the action return: give both, or none")
        asked = self.has_scope() or any(field is not None for field in (self.models, self.ttl_s, self.settle_s))
        if self.action == "return" and asked:
            raise ValueError("a return names its lease and what is not used, and nothing else")
        if (self.billed is not None or self.notional is not None) != (self.currency is not None):
            raise ValueError("currency goes with billed and notional: give both, or none")
        return self
