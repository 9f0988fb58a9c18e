"""`docs/vocabulary.md` has a row for every field of every model, and no row without a field."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import vocabulary
from tallystick.vocabulary.base import Model
from tallystick.vocabulary.controls.body import ControlBody
from tallystick.vocabulary.controls.control import CONTROL_TYPES
from tallystick.vocabulary.inference import QuantityClass, TokenClass

PAGE = Path(__file__).parents[3] / "docs" / "vocabulary.md"


def walk_models() -> Iterator[type[Model]]:
    """Yield each model that a module of the vocabulary defines."""
    for module in pkgutil.walk_packages(vocabulary.__path__, f"{vocabulary.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Model) and value.__module__ == module.name:
                yield value


def own_fields(model: type[Model]) -> set[str]:
    """Name the fields that a model adds to those it inherits."""
    inherited = {name for base in model.__mro__[1:] for name in getattr(base, "model_fields", {})}
    return model.model_fields.keys() - inherited


def read_tables() -> dict[str, set[str]]:
    """Read the page: the fields of each model that a heading names."""
    tables: dict[str, set[str]] = {}
    for section in re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        rows = set(re.findall(r"^\| `(\w+)` \|", body.split("\n## ")[0], flags=re.MULTILINE))
        tables |= dict.fromkeys(re.findall(r"`(\w+)`", heading), rows)
    return tables


MODELS = {model.__name__: model for model in walk_models() if model not in (Model, ControlBody)}


@pytest.mark.parametrize("name", MODELS)
def test_every_field_stands_in_the_table_of_its_model(name: str) -> None:
    tables = read_tables()
    assert name in tables, f"docs/vocabulary.md needs a heading and a table: ### `{name}`"
    missing = sorted(own_fields(MODELS[name]) - tables[name])
    rows = "\n".join(f"| `{field}` | … | – | – |" for field in missing)
    assert not missing, f"docs/vocabulary.md needs these rows below `{name}`:\n{rows}"
    extra = tables[name] - own_fields(MODELS[name])
    assert not extra, f"docs/vocabulary.md has rows below `{name}` that the model does not: {', '.join(sorted(extra))}"


@pytest.mark.parametrize("control", CONTROL_TYPES)
def test_every_control_type_stands_below_its_model(control: str) -> None:
    section = PAGE.read_text().split(f"\n### `{CONTROL_TYPES[control].__name__}`\n")[1].split("\n### ")[0]
    assert section.startswith(f"`{control}`: ")
    assert f"| `{control}`" not in PAGE.read_text(), "a type that has a model is not one to come"


def test_every_table_has_a_model() -> None:
    assert read_tables().keys() == MODELS.keys()


def test_every_token_class_has_a_row() -> None:
    section = PAGE.read_text().split("## Token classes")[1].split("\n## ")[0]
    classes = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in section.splitlines() if "|" in line)))
    assert classes - {"class"} == set(TokenClass.__args__)  # type: ignore[attr-defined]
    assert not classes & set(QuantityClass.__args__)  # type: ignore[attr-defined]
