"""Control types of grants: rights to make calls, with limits (docs/rules.md, R18)."""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from tallystick.vocabulary.base import ID_PATTERN, Amount, Currency, Model, Name, PositiveAmount, Time
from tallystick.vocabulary.controls.body import ControlBody
from tallystick.vocabulary.controls.budgets import WINDOW_STEP_S, UnknownUsage
from tallystick.vocabulary.scope import Dimension, Scope

GrantName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=ID_PATTERN)]
Names = Annotated[tuple[Name, ...], Field(min_length=1, max_length=256, strict=False)]
Limits = Annotated[tuple["GrantLimit", ...], Field(max_length=8, strict=False)]
Percent = Annotated[int, Field(ge=1, le=100)]
MONEY = ("billed", "notional")


class AllowedCalls(Model):
    """The calls that a grant allows: of each dimension the values that it lists, or any. A call that does not say its
    value lies in no list."""

    inference_classes: Names | None = None
    models: Names | None = None
    providers: Names | None = None
    regions: Names | None = None
    data_classes: Names | None = None
    purposes: Names | None = None
    environments: Names | None = None
    operations: Names | None = None


class ZoneOffset(Model):
    """The offset of a time zone from UTC, from a moment on."""

    since: Time
    minutes: Annotated[int, Field(ge=-1080, le=1080)]


class GrantWindow(Model):
    """The window of a limit: rolling, or a period of the calendar. Its zone's offsets stand beside it, since whatever
    decides reads the log alone."""

    rolling_s: Annotated[int, Field(ge=60, le=90 * 86400, multiple_of=WINDOW_STEP_S)] | None = Field(
        default=None, description="length in seconds, whole minutes from one minute to 90 days"
    )
    calendar: Literal["day", "week", "month", "quarter", "year"] | None = None
    zone: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+/-]{1,64}$")] | None = Field(
        default=None, description="time zone of the calendar; UTC where absent"
    )
    first_month: Annotated[int, Field(ge=1, le=12)] | None = Field(
        default=None, description="month in which the fiscal year begins, of quarters and years"
    )
    offsets: Annotated[tuple[ZoneOffset, ...], Field(min_length=1, max_length=256, strict=False)] | None = Field(
        default=None, description="offsets of the zone, in order; the first holds before it too"
    )

    @model_validator(mode="after")
    def _check(self) -> "GrantWindow":
        if (self.rolling_s is None) == (self.calendar is None):
            raise ValueError("must be rolling_s or calendar, one of them")
        if self.calendar is None and (self.zone or self.first_month or self.offsets):
            raise ValueError("zone, first_month and offsets are those of a calendar: leave them out")
        if self.first_month is not None and self.calendar not in ("quarter", "year"):
            raise ValueError("first_month is that of a quarter or a year: leave it out")
        if (self.zone or "UTC") != "UTC" and not self.offsets:
            raise ValueError(
                f"needs the offsets of {self.zone}: add each as since and minutes "
                "(tallystick.rights.zones lists them), or say UTC"
            )
        if self.offsets and [*self.offsets] != sorted(self.offsets, key=lambda offset: offset.since):
            raise ValueError("offsets must be in order of time")
        return self


class GrantLimit(Model):
    """A limit of a grant: so much of a measure in a window. Measure, currency and window are its identity."""

    meter: Literal["billed", "notional", "tokens", "calls"] = Field(
        description="billed: billed cost; notional: list cost, whoever pays"
    )
    amount: PositiveAmount = Field(description="money in the currency; tokens and calls are whole")
    currency: Currency | None = None
    window: GrantWindow | None = Field(default=None, description="the life of the grant where absent")
    thresholds: Annotated[tuple[Percent, ...], Field(min_length=1, max_length=8, strict=False)] | None = Field(
        default=None, description="percents that are told once, beside 100; 50 and 80 where absent"
    )
    at_limit: Literal["warn", "downgrade", "throttle", "deny"] | None = Field(
        default=None, description="what an admission answers where there is no room; deny where absent"
    )
    downgrade_to: Name | None = Field(default=None, description="model that is offered in place, of downgrade")
    unknown_usage: UnknownUsage | None = Field(
        default=None, description="worth of calls whose spend is not known; assume_greatest where absent"
    )
    floor: Amount | None = Field(default=None, description="part that the parent's limit of this identity keeps for it")
    lend: Amount | None = Field(
        default=None, description="part of an unused floor that others may use; nothing where absent"
    )

    @model_validator(mode="after")
    def _check(self) -> "GrantLimit":
        is_money = self.meter in MONEY
        if is_money != (self.currency is not None):
            raise ValueError(f"a limit of {self.meter} {'needs a' if is_money else 'has no'} currency")
        for amount in (self.amount, self.floor, self.lend):
            if not is_money and amount is not None and amount != int(amount):
                raise ValueError(f"a limit of {self.meter} is a whole number, and this is {amount}")
        if self.floor is not None and self.floor > self.amount:
            raise ValueError(
                f"a floor is a part of its limit, and {self.floor} is above {self.amount}: give a lower floor"
            )
        if self.lend is not None and self.lend > (self.floor or 0):
            raise ValueError(f"lend is a part of the floor, and {self.lend} is above {self.floor or 0}: give less")
        if (self.at_limit == "downgrade") != (self.downgrade_to is not None):
            raise ValueError("downgrade_to goes with at_limit downgrade: give both, or none")
        return self


def _check_limits(limits: Limits | None) -> None:
    identities = [(limit.meter, limit.currency, limit.window and limit.window.canonical()) for limit in limits or ()]
    if len(set(identities)) < len(identities):
        raise ValueError("two limits have the same meter, currency and window: leave one out")


class GrantCreated(ControlBody):
    """Give a right to make calls, at the top or below another grant. Its name is given once."""

    control_type: ClassVar[str] = "grant.created"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "grant": "search", "dimension": "team", "scope": "search", "allow": {"regions": ["eu"]},
                    "limits": [{"meter": "billed", "amount": "100", "currency": "USD", "window": {"rolling_s": 86400}}],
                },
            ]
        }
    )  # fmt: skip

    grant: GrantName
    parent: GrantName | None = Field(default=None, description="grant that it narrows; a grant at the top has none")
    dimension: Dimension
    scope: Scope
    allow: AllowedCalls | None = Field(default=None, description="any call of its parent where absent")
    limits: Limits | None = None
    expires_at: Time | None = Field(default=None, description="first moment without it")
    delegable: bool | None = Field(default=None, description="its holder may give parts of it on")

    @model_validator(mode="after")
    def _check(self) -> "GrantCreated":
        _check_limits(self.limits)
        if self.parent is None and any(limit.floor for limit in self.limits or ()):
            raise ValueError("a floor is kept out of a parent's limit: name the parent, or leave the floor out")
        return self


class GrantDelegated(GrantCreated):
    """Give a part of a grant on, as its holder: the parent must be delegable, and have left what is given."""

    control_type: ClassVar[str] = "grant.delegated"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "grant": "search/run-7", "parent": "search", "dimension": "session", "scope": "run-7",
                    "limits": [{"meter": "tokens", "amount": 100000}],
                },
            ]
        }
    )  # fmt: skip

    @model_validator(mode="after")
    def _check_parent(self) -> "GrantDelegated":
        if self.parent is None:
            raise ValueError("a grant is delegated from another: name it as parent")
        return self


class GrantNarrowed(ControlBody):
    """Narrow a grant, for good or until a moment. What is absent stays."""

    control_type: ClassVar[str] = "grant.narrowed"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"grant": "search", "allow": {"models": ["gpt-5-mini"]}, "until": "2026-06-02T00:00:00Z"}]
        }
    )

    grant: GrantName
    allow: AllowedCalls | None = None
    limits: Limits | None = Field(default=None, description="lower or new ones; the others stay")
    expires_at: Time | None = None
    delegable: Literal[False] | None = None
    paused: Literal[True] | None = Field(default=None, description="it allows no call until it is extended")
    until: Time | None = Field(default=None, description="the narrowing ends then")

    @model_validator(mode="after")
    def _check(self) -> "GrantNarrowed":
        _check_limits(self.limits)
        if self.until is not None and (self.expires_at is not None or self.delegable is not None):
            raise ValueError("expires_at and delegable have no end: leave them out, or until")
        return self


class GrantExtended(ControlBody):
    """Widen a grant within those above it. What is absent stays, and so does what was spent."""

    control_type: ClassVar[str] = "grant.extended"
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"grant": "search", "expires_at": "2027-01-01T00:00:00Z"}]}
    )

    grant: GrantName
    allow: AllowedCalls | None = None
    limits: Limits | None = Field(default=None, description="higher ones; the others stay")
    expires_at: Time | None = None
    delegable: Literal[True] | None = None
    paused: Literal[False] | None = Field(default=None, description="it allows calls again")

    @model_validator(mode="after")
    def _check(self) -> "GrantExtended":
        _check_limits(self.limits)
        return self


class GrantRevoked(ControlBody):
    """Take a grant back, and with it all below. This is final."""

    control_type: ClassVar[str] = "grant.revoked"
    model_config = ConfigDict(json_schema_extra={"examples": [{"grant": "search"}]})

    grant: GrantName
