"""Read the names by which events call models and providers (docs/rules.md, R6). Pure."""

import re
from collections.abc import Callable, Iterable
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from ledger.pricing.name_parts import (
    GATEWAYS,
    LOCAL_HOSTS,
    MAX_PATH_PARTS,
    MODEL_RESOURCES,
    OFFER_MARKS,
    PATH_WORDS,
    REGIONS,
    TUNED_MARKS,
    UNSOLD_RESOURCES,
)
from tallystick.gateways.provider_names import PROVIDER_NAMES

_NAME_BY_ALIAS = {alias: name for name, aliases in PROVIDER_NAMES.items() for alias in (name, *aliases)}
_COMPACT_DATE = re.compile(r"-(\d{4})(\d{2})(\d{2})$", re.ASCII)
_DASHED_DATE = re.compile(r"-(\d{4})-(\d{2})-(\d{2})$", re.ASCII)
_COMMITMENT = re.compile(r"(^|/)\d+-month-commitment(/|$)", re.ASCII)
_BEDROCK_VERSION = re.compile(r"(-v\d+)?:\d+(:\d+k)?$", re.ASCII)
_REGION = re.compile(rf"^({'|'.join(REGIONS)})\.")
_MAKER = re.compile(r"^[a-z][a-z0-9]*\.(?=[a-z])")
_DOTTED_VERSION = re.compile(r"(?<=[0-9])\.(?=[0-9])")
_DASHED_VERSION = re.compile(r"(?<=[^0-9.][0-9])-(?=[0-9](?:[^0-9.]|$))")
_VERSIONS = re.compile(
    r"(-(\d{4}-\d\d-\d\d|\d\d-\d\d|\d{3,8}|\d+k|preview|turbo|vision|exp))+$", re.ASCII
)  # fmt: skip

_VERSION_SUFFIX = re.compile(
    r"(-(\d{4}-\d\d-\d\d|\d\d-\d\d(\d\d)?|\d{3,8}|v\d{1,2}|preview|exp|latest))*(:\d)?", re.ASCII
)  # fmt: skip


class Spellings(NamedTuple):
    """The names by which price books may list a model, in the order in which they are tried: those that say the same,
    and those that leave a date out."""

    exact: tuple[str, ...]
    undated: tuple[str, ...]


@lru_cache(maxsize=10_000)
def order_models(resolved: str | None, requested: str | None) -> tuple[str, ...]:
    """Return the models of a call in lower case, in the order in which their price is sought: the one that answered,
    then the one that was asked for. One with a mark stands alone, and a version comes before its model."""
    names = tuple(dict.fromkeys(name.lower() for name in (resolved, requested) if name))
    marked = tuple(name for name in names if find_mark(name) is not None)
    if marked:
        return marked
    if len(names) == 2:
        answer, question = (name.rpartition("/")[2] for name in names)
        rest = question.removeprefix(answer)
        is_version = answer and rest != question and _VERSIONS.fullmatch(rest)
        if is_version and (rest.endswith("preview") or re.search(r"[0-9]", rest)):
            return names[::-1]
    return names


@lru_cache(maxsize=10_000)
def find_mark(model: str) -> str | None:
    """Return the part of a model's name, in lower case, that says that its model's price is not its own; None where
    there is none."""
    name = model.rpartition("/")[2]
    if name.startswith(TUNED_MARKS[0]):
        return TUNED_MARKS[0]
    if TUNED_MARKS[1] in name:
        return TUNED_MARKS[1]
    return next((mark for mark in OFFER_MARKS if name.endswith(mark)), None)


@lru_cache(maxsize=10_000)
def spell_model(model: str) -> Spellings:
    """Return the spellings of a model's name in lower case. None where the name is an id, which names no model."""
    names = _cut_path(model)
    for respell in _RESPELLINGS:
        names += [respelled for respelled in dict.fromkeys(map(respell, names)) if respelled and respelled not in names]
    undated = [shorter for shorter in dict.fromkeys(map(_leave_date_out, names)) if shorter and shorter not in names]
    return Spellings(tuple(names), tuple(undated))


def is_gateway(provider: str | None) -> bool:
    """Tell whether a provider's name in lower case says nothing of who sold the model."""
    return provider is None or provider in GATEWAYS


@lru_cache(maxsize=10_000)
def is_local_host(name: str) -> bool:
    """Tell whether a lower-case name of a provider, or an address, is of a machine of one's own."""
    host = re.split(r"[/:]", re.sub(r"^https?://", "", name), maxsplit=1)[0]
    return host in LOCAL_HOSTS or re.split(r"[-_. ]", host, maxsplit=1)[0] in LOCAL_HOSTS


def is_version_suffix(rest: str) -> bool:
    """Tell whether what stands behind a model's name is nothing, or a version of the same model."""
    return _VERSION_SUFFIX.fullmatch(rest) is not None


def list_sellers(model: str) -> tuple[str, ...]:
    """Return the part of a model's path that names who sells it, if there is one."""
    for part in model.split("/")[:-1]:
        if part not in GATEWAYS and part not in PATH_WORDS:
            return (part,)
    return ()


@lru_cache(maxsize=10_000)
def spell_provider(name: str) -> tuple[str, ...]:
    """Return the ids by which price books may list a provider, from its name in lower case."""
    return tuple(dict.fromkeys((*list_provider_names(name), re.split(r"[-_./ ]", name)[0])))


def list_provider_names(name: str) -> tuple[str, ...]:
    """Return a provider's name in lower case, what it is without its parts behind dots, and their ids."""
    forms = (name, name.rpartition(".")[0], name.partition(".")[0])
    return tuple(id for form in forms if form for id in (form, find_provider_id(form)) if id)


def find_provider_id(name: str) -> str | None:
    """Return the id that price books have for a provider's name in lower case; None where it has none."""
    return _NAME_BY_ALIAS.get(name)


def _cut_path(model: str) -> list[str]:
    """Return a model's path, and each end of it; an ARN's resource where it names a model."""
    parts = model.split("/")
    if _COMMITMENT.search(model) or not UNSOLD_RESOURCES.isdisjoint(parts):
        return []
    start = re.search(r"(^|/)arn:", model)
    if start:
        kind, _, name = model[start.start() :].split(":", 5)[-1].partition("/")
        return [name] if kind in MODEL_RESOURCES and name else []
    if len(parts) > MAX_PATH_PARTS:
        return [model]
    names: list[str] = []
    for index in range(len(parts)):
        names.append("/".join(parts[index:]))
        if parts[index] == "accounts":  # an account's models are not those of the same name elsewhere
            break
    return list(dict.fromkeys(name for name in names if name))


def _read_at(name: str) -> str | None:
    head, at, tail = name.rpartition("@")
    if not at or not head:
        return None
    if tail in ("default", "latest") or re.fullmatch(r"[0-9]{1,3}", tail):
        return head
    return f"{head}-{tail}" if re.fullmatch(r"[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}", tail) else None


def _spell_date_with_dashes(name: str) -> str | None:
    match = _COMPACT_DATE.search(name)
    return f"{name[: match.start()]}-{match[1]}-{match[2]}-{match[3]}" if match and _is_date(match) else None


def _spell_date_without_dashes(name: str) -> str | None:
    match = _DASHED_DATE.search(name)
    return f"{name[: match.start()]}-{match[1]}{match[2]}{match[3]}" if match and _is_date(match) else None


def _leave_date_out(name: str) -> str | None:
    for pattern in (_COMPACT_DATE, _DASHED_DATE):
        match = pattern.search(name)
        if match and _is_date(match):
            return name[: match.start()] or None
    return None


def _is_date(match: re.Match[str]) -> bool:
    try:
        date(*map(int, match.groups()))
    except ValueError:
        return False
    return True


_RESPELLINGS: Iterable[Callable[[str], str | None]] = (
    _read_at,
    lambda name: name.removesuffix("-latest"),
    lambda name: _BEDROCK_VERSION.sub("", name),
    lambda name: _REGION.sub("", name),
    lambda name: _MAKER.sub("", name),
    _spell_date_with_dashes,
    _spell_date_without_dashes,
    lambda name: _DOTTED_VERSION.sub("-", name),
    lambda name: _DASHED_VERSION.sub(".", name),
)
"""What is done to each name so far, in this order; the names that come of it are tried after those before it."""
