"""Control types of alerts."""

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from tallystick.vocabulary.base import DocumentHash, Id, Label, Name, Text, Time
from tallystick.vocabulary.controls.body import ControlBody


class RulesAdopted(ControlBody):
    """Adopt a document of detector rules, under a name. The document stands on the log first.

    No detector reads rules yet: the decision is recorded, and answered as one without effect.
    """

    control_type: ClassVar[str] = "rules.adopted"
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "runaways", "document": "0" * 64}]})

    name: Label
    document: DocumentHash


class AlertAcknowledged(ControlBody):
    """A person looks after an alert. It stays raised, and is not escalated for want of an answer."""

    control_type: ClassVar[str] = "alert.acknowledged"
    model_config = ConfigDict(json_schema_extra={"examples": [{"alert": "3-17-0-repeated_tool"}]})

    alert: Id
    reason: Text | None = None


class AlertResolved(ControlBody):
    """A person ended an alert, whatever its agent goes on to do."""

    control_type: ClassVar[str] = "alert.resolved"
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"alert": "3-17-0-repeated_tool", "reason": "the job was stopped"}]}
    )

    alert: Id
    reason: Text | None = None


class AlertLabeled(ControlBody):
    """A person's verdict on an alert: of a runaway (true), or a false alarm. The last one holds."""

    control_type: ClassVar[str] = "alert.labeled"
    model_config = ConfigDict(json_schema_extra={"examples": [{"alert": "3-17-0-repeated_tool", "label": "false"}]})

    alert: Id
    label: Literal["true", "false"]
    reason: Text | None = None


class AlertSilenced(ControlBody):
    """Alerts of a scope send no messages from the effective time until a moment. Fields that are absent match any alert
    of the organization. The same scope again holds from its own effective time on, and ends the silence where ``until``
    is not later."""

    control_type: ClassVar[str] = "alert.silenced"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"until": "2026-06-01T06:00:00Z", "team": "search", "reason": "an upgrade of the index"}]
        }
    )

    until: Time
    alert: Id | None = Field(default=None, description="this alert alone")
    team: Name | None = None
    agent: Name | None = None
    session: Name | None = None
    detector: Label | None = None
    reason: Text | None = None
