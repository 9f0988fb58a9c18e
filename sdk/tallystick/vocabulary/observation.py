"""``observation``: a fact about a call or a session that became known later. Any number of them may follow a call."""

from typing import Annotated, Literal

from pydantic import Field

from tallystick.vocabulary.base import Count, Identifier, Label, Model, Name

Score = Annotated[str, Field(pattern=r"^-?[0-9]{1,26}(\.[0-9]{1,12})?$")]


class Target(Model):
    """The event that an observation or a correction is about, by its identity."""

    source: Identifier
    id: Identifier


class Observation(Model):
    """An outcome, a quality score, a parser's verdict or a quota reading. It never edits the call."""

    of: Target | None = Field(default=None, description="the call that it is about")
    session: Name | None = None
    # outcome or quality
    metric: Label | None = None
    value: Score | None = Field(default=None, description="a decimal number, as a string")
    evaluator: Name | None = None
    evaluator_version: Name | None = None
    evaluation_set: Name | None = None
    evaluation_set_version: Name | None = None
    ticket: Name | None = None
    # conformance, as a consumer's parser saw it
    conformance: Literal["ok", "repaired", "failed", "unchecked"] | None = None
    parser_version: Name | None = None
    # quota of a provider's account
    provider: Name | None = None
    provider_account: Name | None = None
    dimension: Label | None = None
    limit: Count | None = None
    used: Count | None = None
