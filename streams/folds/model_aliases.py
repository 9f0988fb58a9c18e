"""Names of models that a decision maps to models of the price books (docs/rules.md, R6)."""

from collections.abc import Mapping, Sequence

from streams.folds.emit import Emit
from streams.folds.entry import Documents
from streams.folds.event import Event
from streams.folds.state import State
from tallystick.vocabulary.controls.models import ModelAliased

IN_FORCE = ("rating", "aliases")
"""The aliases in force: by the name of the events' model, and by their provider (empty for all), what prices them."""
DECISIONS = ("rating", "alias decisions")
"""All decisions, in order: offset, event index, name, provider, and the provider and model of the price."""

Aliases = Mapping[str, Mapping[str, Sequence[str]]]


def alias_model(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Apply ``model.aliased``."""
    body = event.data["body"]
    decision = (
        *emit.order(), body["name"].lower(), (body.get("provider") or "").lower(), body.get("priced_provider"),
        body.get("priced_model"),
    )  # fmt: skip
    state.put(DECISIONS, (*(state.get(DECISIONS) or ()), decision))
    state.put(IN_FORCE, _apply(state.get(IN_FORCE) or {}, *decision[2:]))
    emit.decision(
        event.organization, "control.applied", control_type=ModelAliased.control_type, event_source=event.source,
        event_id=event.id,
    )  # fmt: skip


def find_aliases(position: tuple[int, int] | None, state: State) -> Aliases | None:
    """Return the aliases in force at an offset and event index, or now; None where there are none."""
    aliases: Aliases | None = state.get(IN_FORCE)
    if position is None or aliases is None:
        return aliases
    decisions = state.get(DECISIONS)
    if tuple(decisions[-1][:2]) < position:
        return aliases
    aliases = {}
    for offset, event_index, *decision in decisions:
        if (offset, event_index) < position:
            aliases = _apply(aliases, *decision)
    return aliases


def _apply(
    aliases: Aliases, name: str, provider: str, priced_provider: str | None, priced_model: str | None
) -> Aliases:
    """Return the aliases with one that is set, or removed where there is no model."""
    by_provider = {key: target for key, target in aliases.get(name, {}).items() if key != provider}
    if priced_provider is not None and priced_model is not None:
        by_provider[provider] = (priced_provider, priced_model)
    return {**aliases, name: by_provider}


def resolve_alias(aliases: Aliases, provider: str | None, *models: str | None) -> tuple[str, tuple[str]] | None:
    """Return the provider and the model that price a call; None where no alias concerns it. The alias of the model that
    answered comes before that of the one asked for, and one of the call's provider before one of any."""
    for model in models:
        by_provider = aliases.get(model.lower()) if model else None
        if by_provider:
            target = by_provider.get((provider or "").lower()) or by_provider.get("")
            if target is not None:
                return target[0], (target[1].lower(),)
    return None
