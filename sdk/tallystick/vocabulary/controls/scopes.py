"""Control types of scopes: who owns what, and who is behind it (docs/rules.md, R17)."""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from tallystick.vocabulary.base import Count, Label, Name
from tallystick.vocabulary.controls.body import ControlBody
from tallystick.vocabulary.protection import Person, ProtectedBy, Protection

ScopeDimension = Literal["organization", "team", "project", "feature", "service"]
OwnedDimension = Literal["key", "agent", "service", "feature", "project", "provider_account"]
"""What a team can own, in the order in which a call is attributed to an owner."""

OwnedScope = Annotated[Name, ProtectedBy("dimension", {"key": Protection.KEY})]


class ScopeDeclared(ControlBody):
    """A scope as it is from the effective time on: all of it, in place of what was declared of it before."""

    control_type: ClassVar[str] = "scope.declared"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"dimension": "team", "scope": "search", "parent": "product", "owner": "ann", "cost_center": "CC-7"},
            ]
        }
    )

    dimension: ScopeDimension
    scope: Name = Field(description="name by which events call it; of a service, the source of its events")
    parent: Name | None = Field(default=None, description="scope of the same dimension that it is part of")
    owner: Person | None = Field(default=None, description="a person; a keyed pseudonym on the log")
    sponsor: Person | None = Field(default=None, description="a person; a keyed pseudonym on the log")
    on_call: Person | None = Field(default=None, description="a person; a keyed pseudonym on the log")
    cost_center: Label | None = Field(default=None, description="of the scopes below it too that have none")
    head_count: Count | None = None


class ScopeEnded(ControlBody):
    """From the effective time on a scope is not there."""

    control_type: ClassVar[str] = "scope.ended"
    model_config = ConfigDict(json_schema_extra={"examples": [{"dimension": "team", "scope": "search"}]})

    dimension: ScopeDimension
    scope: Name


class ScopeAssigned(ControlBody):
    """From the effective time on a team owns a key, an account, an agent, a service, a feature or a project. Without a
    team, nobody does."""

    control_type: ClassVar[str] = "scope.assigned"
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"dimension": "agent", "scope": "triage-bot", "team": "search"}]}
    )

    dimension: OwnedDimension
    scope: OwnedScope = Field(description="name by which events call it; a key is its fingerprint on the log")
    team: Name | None = None
