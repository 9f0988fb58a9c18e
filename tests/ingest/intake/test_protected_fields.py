"""Persons, keys and guessable hashes are found by the types of fields, wherever in a model they stand."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from ingest.intake.protected_fields import Replacements, has_protected, protect
from tallystick import Control, Correction, Inference, Observation
from tallystick.privacy.key_shapes import fingerprint
from tallystick.vocabulary.base import Model, Name
from tallystick.vocabulary.protection import GuessableHash, KeyName, Person, Persons, TypedBy
from tallystick.vocabulary.scope import Scope

REPLACEMENTS = Replacements(person=lambda name: f"p_{name}", pseudonym=lambda text: f"h_{text}")


class Owner(Model):
    kind: Literal["person"] = "person"
    name: Person
    stand_ins: Persons | None = None


class Team(Model):
    kind: Literal["team"] = "team"
    name: Name


class Grant(Model):
    """A model that the vocabulary does not have: a control type to come would look like it."""

    title: Name
    to: Person
    by: Person | None = None
    witnesses: tuple[Person, ...] = ()
    owner: Annotated[Owner | Annotated[Team, Field(description="a group")], Field(discriminator="kind")]
    heir: Annotated[Owner, Field(description="a person")] | Team | None = None
    history: list[Owner | Team] | None = None
    on_call: dict[Person, list[Person]] | None = None
    limit: Person | int | None = None
    arguments_hash: GuessableHash | None = None
    key: KeyName | None = None
    dimension: Name | None = None
    scope: Scope | None = None
    type: Name | None = None
    body: Annotated[Model, TypedBy("type", {"owner": Owner, "team": Team})] | None = None


@pytest.mark.parametrize(
    ("sent", "protected"),
    [
        ({"title": "ann", "to": "ann"}, {"title": "ann", "to": "p_ann"}),
        ({"by": None}, {"by": None}),
        ({"witnesses": ["ann", "bob"]}, {"witnesses": ["p_ann", "p_bob"]}),
        ({"owner": {"kind": "person", "name": "ann", "stand_ins": ["bob"]}},
         {"owner": {"kind": "person", "name": "p_ann", "stand_ins": ["p_bob"]}}),
        ({"heir": {"kind": "person", "name": "ann"}}, {"heir": {"kind": "person", "name": "p_ann"}}),
        ({"heir": {"kind": "team", "name": "ann"}}, {"heir": {"kind": "team", "name": "ann"}}),
        ({"owner": {"name": "ann", "kind": "team"}}, {"owner": {"name": "ann", "kind": "team"}}),
        ({"history": [{"kind": "person", "name": "ann"}, {"kind": "team", "name": "ann"}]},
         {"history": [{"kind": "person", "name": "p_ann"}, {"kind": "team", "name": "ann"}]}),
        ({"on_call": {"ann": ["bob"]}}, {"on_call": {"p_ann": ["p_bob"]}}),
        ({"limit": 5}, {"limit": 5}),
        ({"limit": "ann"}, {"limit": "p_ann"}),
        ({"arguments_hash": "abc"}, {"arguments_hash": "h_abc"}),
        ({"key": "k1"}, {"key": fingerprint("k1")}),
        ({"dimension": "team", "scope": "ann"}, {"dimension": "team", "scope": "ann"}),
        ({"dimension": "user", "scope": "ann"}, {"dimension": "user", "scope": "p_ann"}),
        ({"dimension": "key", "scope": "k1"}, {"dimension": "key", "scope": fingerprint("k1")}),
        ({"type": "owner", "body": {"name": "ann"}}, {"type": "owner", "body": {"name": "p_ann"}}),
        ({"type": "team", "body": {"name": "ann"}}, {"type": "team", "body": {"name": "ann"}}),
        # what does not fit stays, for the vocabulary to refuse
        ({"to": 5, "witnesses": "ann", "owner": "ann", "on_call": "x", "history": 5, "body": []},) * 2,
        ({"to": "", "by": "x" * 257, "dimension": [], "scope": "ann"},) * 2,
    ],
)  # fmt: skip
def test_a_field_is_protected_by_its_type(sent: dict[str, Any], protected: dict[str, Any]) -> None:
    assert protect(Grant, sent, REPLACEMENTS) == protected


def test_a_pseudonym_is_not_replaced_again() -> None:
    pseudonym = f"p_{'0' * 24}"
    assert protect(Grant, {"to": pseudonym}, REPLACEMENTS) == {"to": pseudonym}


def test_the_vocabulary_names_its_persons() -> None:
    assert has_protected(Inference) and has_protected(Correction) and has_protected(Control)
    assert not has_protected(Observation)
    names = {"user": "ann", "customer": "ann", "acting_for": ["ann"], "team": "ann"}
    protected = {"user": "p_ann", "customer": "p_ann", "acting_for": ["p_ann"], "team": "ann"}
    assert protect(Inference, names, REPLACEMENTS) == protected
    assert protect(Correction, {"replacement": names}, REPLACEMENTS) == {"replacement": protected}
    decision = {"control": "subject.erased", "actor": "bob", "body": {"subject": "ann"}}
    assert protect(Control, decision, REPLACEMENTS) == decision | {"actor": "p_bob", "body": {"subject": "p_ann"}}
