"""Read what providers publish and the catalogue does not hold: ``catalogue_additions.yaml``, beside this file."""

import re
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ledger.pricing.price_book import Variant, Weekday
from ledger.token_classes import AS_TEXT
from ledger.yaml_files import read_yaml
from tallystick.vocabulary.base import Model, Name, Text

FILE = Path(__file__).with_name("catalogue_additions.yaml")


class _Entry(Model):
    """The models of a provider that an entry speaks of, and where it was read."""

    provider: Name
    models: Annotated[str, Field(description="a regular expression over the catalogue's ids; empty is each")]
    source: Text
    read: date

    def applies_to(self, provider: str, model: str) -> bool:
        return provider == self.provider and re.search(self.models, model) is not None


class _VariantEntry(_Entry, Variant):
    """A variant of the models' prices."""


class _WeekdayEntry(_Entry):
    """Days of the week on which the prices that have hours hold."""

    days: Annotated[tuple[Weekday, ...], Field(strict=False)]


class _AsTextEntry(_Entry):
    """Modalities that cost what text costs."""

    classes: Annotated[tuple[Name, ...], Field(strict=False)]


class Additions(Model):
    """All additions, and the day of the last reading."""

    read_on: date
    variants: Annotated[tuple[_VariantEntry, ...], Field(strict=False)]
    weekdays: Annotated[tuple[_WeekdayEntry, ...], Field(strict=False)]
    as_text: Annotated[tuple[_AsTextEntry, ...], Field(strict=False)]

    def list_variants(self, provider: str, model: str) -> list[Variant]:
        """List the variants that are added to those of a model."""
        return [
            Variant(**{name: getattr(entry, name) for name in Variant.model_fields})
            for entry in self.variants
            if entry.applies_to(provider, model)
        ]

    def find_weekdays(self, provider: str, model: str) -> tuple[Weekday, ...] | None:
        """Return the days on which a model's prices by the hour hold; None is each."""
        return next((entry.days for entry in self.weekdays if entry.applies_to(provider, model)), None)

    def find_fallbacks(self, provider: str, model: str, *, has_modality: bool) -> dict[str, tuple[str, ...]] | None:
        """Return what the modalities of a model cost as where they have no rate; None where nothing is said of them. A
        catalogue that has a rate of one modality says of the others that they cost what text costs."""
        classes = [name for entry in self.as_text if entry.applies_to(provider, model) for name in entry.classes]
        fallbacks: dict[str, tuple[str, ...]] = {}
        for name in AS_TEXT if has_modality else classes:
            fallbacks |= AS_TEXT[name]
        return fallbacks or None


@cache
def read_additions() -> Additions:
    """Read the file once."""
    return Additions.model_validate(read_yaml(FILE.read_text()), strict=False)
