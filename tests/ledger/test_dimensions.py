"""The list of dimensions agrees with the vocabulary, with what the intake pseudonymises, and with what pages offer."""

from typing import get_args, get_type_hints

from dashboards.sources import persons
from ledger import dimensions, inference_fields
from ledger.dimensions import ATTRIBUTES, BUDGET_DIMENSIONS, DIMENSIONS, FILTERS
from tallystick import Inference
from tallystick.vocabulary import scope
from tallystick.vocabulary.protection import Person, Persons

FIELDS = (*DIMENSIONS, *ATTRIBUTES)
TYPES = {
    **dict.fromkeys(inference_fields.TEXTS, (dimensions.TEXT, dimensions.ID)),
    **dict.fromkeys(inference_fields.COUNTS, (dimensions.COUNT,)),
    **dict.fromkeys(inference_fields.AMOUNTS, (dimensions.AMOUNT,)),
    **dict.fromkeys(inference_fields.LISTS, (dimensions.LIST,)),
    **dict.fromkeys(inference_fields.MAPS, (dimensions.MAP,)),
}


def test_every_plain_field_of_the_vocabulary_is_listed_once() -> None:
    nested = {"provider_usage", "rate_limits", "violations", "tokens", "reported_tokens", "quantities"}
    assert sorted(field.name for field in FIELDS) == sorted(Inference.model_fields.keys() - nested)


def test_each_has_the_type_of_the_vocabulary() -> None:
    assert not [field for field in FIELDS if field.type not in TYPES[field.name]]


def test_a_description_is_half_a_sentence() -> None:
    assert not [field for field in FIELDS if not field.description or field.description.endswith(".")]


def test_persons_are_those_that_the_intake_pseudonymises() -> None:
    names = tuple(dimension.name for dimension in DIMENSIONS if dimension.is_person)
    hints = get_type_hints(Inference, include_extras=True)
    assert sorted(names) == [name for name, hint in sorted(hints.items()) if hint == Person | None]
    assert sorted(names) == sorted(persons.PERSON_FIELDS)
    lists = [name for name, hint in hints.items() if hint == Persons | None]
    assert [field.name for field in ATTRIBUTES if field.is_person] == lists


def test_pages_filter_by_what_the_sums_carry() -> None:
    assert set(FILTERS) <= {dimension.name for dimension in DIMENSIONS if dimension.marts == "all"}


def test_a_budget_limits_a_dimension_of_the_entries() -> None:
    assert get_args(scope.Dimension) == BUDGET_DIMENSIONS
    assert set(BUDGET_DIMENSIONS) - {"organization"} <= {
        dimension.name for dimension in DIMENSIONS if dimension.marts != "none"
    }
