"""Map names of models that nobody can guess to models of the price books, for all organizations."""

from typing import NamedTuple

from ingest.controls import platform_relay
from ingest.controls.append import build_decision
from ledger.errors import TallyError
from ledger.log import Log, Position
from ledger.organizations import PLATFORM
from ledger.settings import Settings
from tallystick.vocabulary.controls.models import ModelAliased


class Alias(NamedTuple):
    """A name of a model, the provider of the events that it concerns (None: any), the provider and model that price it,
    and the position of the decision."""

    name: str
    provider: str | None
    priced_provider: str
    priced_model: str
    position: Position


def alias_model(
    log: Log,
    settings: Settings,
    name: str,
    priced_provider: str,
    priced_model: str,
    provider: str | None = None,
    reason: str | None = None,
) -> Position:
    """Price the events that call a model ``name`` as another, from here on. ``provider`` limits it to those that name
    this provider."""
    target = {"priced_provider": priced_provider, "priced_model": priced_model}
    return _decide(log, settings, _name(name, provider) | target, reason)


def remove_alias(
    log: Log, settings: Settings, name: str, provider: str | None = None, reason: str | None = None
) -> Position:
    """Have a name mean itself again, from here on. TallyError where it has no alias."""
    aliases = list_aliases(log)
    key = (name.lower(), provider.lower() if provider else None)
    if key not in {(alias.name.lower(), alias.provider.lower() if alias.provider else None) for alias in aliases}:
        of_provider = f" for the provider {provider!r}" if provider else ""
        raise TallyError(f"the model {name!r} has no alias{of_provider}: see `tally model list`")
    return _decide(log, settings, _name(name, provider), reason)


def list_aliases(log: Log) -> list[Alias]:
    """Return the aliases in force, by name."""
    aliases: dict[tuple[str, str | None], Alias | None] = {}
    for body, position in platform_relay.find_decisions(log, ModelAliased.control_type):
        name, provider = body["name"], body.get("provider")
        alias = None
        if "priced_model" in body:
            alias = Alias(name, provider, body["priced_provider"], body["priced_model"], position)
        aliases[name.lower(), provider.lower() if provider else None] = alias
    return sorted((alias for alias in aliases.values() if alias), key=lambda alias: (alias.name, alias.provider or ""))


def _name(name: str, provider: str | None) -> dict[str, str]:
    return {"name": name} | ({"provider": provider} if provider else {})


def _decide(log: Log, settings: Settings, body: dict[str, str], reason: str | None) -> Position:
    line = build_decision(settings, ModelAliased.control_type, body, PLATFORM, reason)
    with platform_relay.platform_lock(settings.home):
        return platform_relay.publish(log, line)
