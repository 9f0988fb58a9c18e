"""``control``: a decision of people, on the same log and in the same order as the facts."""

import importlib
import pkgutil
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, SerializeAsAny, ValidationInfo, field_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, to_json

from tallystick.vocabulary import controls
from tallystick.vocabulary.base import Ids, Label, Model, Name, Text, Time
from tallystick.vocabulary.controls.body import ControlBody
from tallystick.vocabulary.protection import Person, TypedBy


def _find_control_types() -> dict[str, type[ControlBody]]:
    """Return the model of each type that a module of the folder defines."""
    modules = [importlib.import_module(f"{controls.__name__}.{module.name}")
               for module in pkgutil.iter_modules(controls.__path__) if module.name != "control"]  # fmt: skip
    values = [value for module in modules for value in vars(module).values()]
    models = [value for value in values if isinstance(value, type) and issubclass(value, ControlBody)]
    return {model.control_type: model for model in models if model is not ControlBody}


CONTROL_TYPES = dict(sorted(_find_control_types().items()))
"""The model of each control type. Types that are to come stand in ``docs/vocabulary.md`` until something reads them."""


class Control(Model):
    """One decision: who, in what role, why, from when it holds, and what. ``control`` names the type of ``body``."""

    control: Label = Field(description="type of the decision", json_schema_extra={"enum": [*CONTROL_TYPES]})
    actor: Person | None = Field(default=None, description="a person; a keyed pseudonym on the log")
    role: Label | None = None
    reason: Text | None = Field(default=None, description="why; e-mail addresses become pseudonyms, other names stay")
    effective_at: Time | None = None
    recorded_at: Time | None = None
    supersedes: Name | None = None
    evidence: Ids | None = Field(default=None, description="ids of what it rests on")
    body: Annotated[SerializeAsAny[ControlBody], TypedBy("control", CONTROL_TYPES)]

    @field_validator("control")
    @classmethod
    def _has_schema(cls, control: str) -> str:
        if control not in CONTROL_TYPES:
            raise ValueError(f"must be a type that has a schema: {', '.join(CONTROL_TYPES)}")
        return control

    @field_validator("body", mode="plain")
    @classmethod
    def _is_of_type(cls, body: Any, info: ValidationInfo) -> ControlBody:
        model = CONTROL_TYPES.get(info.data.get("control", ""))
        if model is None:
            raise ValueError("cannot be read without its type")
        if isinstance(body, ControlBody):
            if type(body) is not model:
                raise ValueError(f"must be of {model.__name__}, the model of its type")
            return body
        return model.model_validate_json(to_json(body))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Publish the model of each type as a branch, which ``control`` chooses."""
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        schema["properties"]["body"] = {"type": "object"}
        schema["oneOf"] = [
            {"properties": {"control": {"const": control}, "body": handler(model.__pydantic_core_schema__)}}
            for control, model in CONTROL_TYPES.items()
        ]
        return reference
