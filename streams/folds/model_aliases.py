"""Names of models that a decision maps to models of the price books (docs/rules.md, R6)."""

from collections.abc import Mapping
from functools import lru_cache

from streams.folds.emit import Emit
from streams.folds.entry import Documents
from streams.folds.event import Event
from streams.folds.state import State
from tallystick.vocabulary.controls.models import ModelAliased

ALIASES = ("rating", "aliases")
"""All decisions, in order: offset, event index, name and provider of the events, provider and model of the price."""

Names = tuple[str, str | None]
Target = tuple[str, str]
_Decision = tuple[int, int, str, str | None, str | None, str | None]


def alias_model(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Apply ``model.aliased``."""
    body = event.data["body"]
    provider = body.get("provider")
    name, provider = body["name"].lower(), provider.lower() if provider else None
    decision = (*emit.order(), name, provider, body.get("priced_provider"), body.get("priced_model"))
    state.put(ALIASES, (*(state.get(ALIASES) or ()), decision))
    emit.decision(
        event.organization, "control.applied", control_type=ModelAliased.control_type, event_source=event.source,
        event_id=event.id,
    )  # fmt: skip


def find_aliases(position: tuple[int, int] | None, state: State) -> Mapping[Names, Target] | None:
    """Return the aliases in force at an offset and event index, or now; None where there are none."""
    decisions = state.get(ALIASES)
    if not decisions:
        return None
    return _read_aliases(tuple(tuple(decision) for decision in decisions), position)


@lru_cache(maxsize=64)
def _read_aliases(decisions: tuple[_Decision, ...], position: tuple[int, int] | None) -> Mapping[Names, Target]:
    aliases: dict[Names, Target] = {}
    for offset, event_index, name, provider, priced_provider, priced_model in decisions:
        if position is not None and (offset, event_index) >= position:
            break
        aliases.pop((name, provider), None)
        if priced_provider is not None and priced_model is not None:
            aliases[name, provider] = (priced_provider, priced_model)
    return aliases


def resolve_alias(
    aliases: Mapping[Names, Target], provider: str | None, *models: str | None
) -> tuple[str, tuple[str]] | None:
    """Return the provider and the model that price a call; None where no alias concerns it. The alias of the model that
    answered comes before that of the one asked for, and one of the call's provider before one of any."""
    for model in models:
        for name_provider in (provider.lower() if provider else None, None):
            target = aliases.get((model.lower(), name_provider)) if model else None
            if target is not None:
                return target[0], (target[1].lower(),)
    return None
