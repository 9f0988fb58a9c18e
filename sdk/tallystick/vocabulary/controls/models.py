"""Control types of models."""

from typing import ClassVar

from pydantic import ConfigDict, Field, model_validator

from tallystick.vocabulary.base import Name
from tallystick.vocabulary.controls.body import ControlBody


class ModelAliased(ControlBody):
    """From here on a name of a model means a model of a price book. Without one, the name means itself again."""

    control_type: ClassVar[str] = "model.aliased"
    command: ClassVar[str | None] = "tally model alias"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "prod-chat", "provider": "azure", "priced_provider": "azure", "priced_model": "gpt-4o"},
            ]
        }
    )

    name: Name = Field(description="name by which events call the model, in any case")
    provider: Name | None = Field(default=None, description="provider that these events name; any where absent")
    priced_provider: Name | None = Field(default=None, description="provider whose price holds")
    priced_model: Name | None = Field(default=None, description="model whose price holds")

    @model_validator(mode="after")
    def _check_target(self) -> "ModelAliased":
        if (self.priced_provider is None) != (self.priced_model is None):
            raise ValueError("priced_provider and priced_model are named both, or neither to remove the alias")
        return self
