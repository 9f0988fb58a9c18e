"""Replace what the log never shows: fields are found by their types, in models, lists, maps and unions.

``tallystick.vocabulary.protection`` has the types. A new field, or a new model, needs nothing here.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from ingest.intake.privacy import Data
from tallystick.privacy.addresses import PSEUDONYM, replace_addresses
from tallystick.privacy.key_shapes import FINGERPRINT, MAX_TEXT_LENGTH, key_fingerprint
from tallystick.vocabulary.protection import ProtectedBy, Protection, TypedBy

MAX_NAME = 256


class Replacements(NamedTuple):
    """The pseudonym of a person, which stores the name behind it, and that of a hash, which stores nothing."""

    person: Callable[[str], str]
    pseudonym: Callable[[str], str]


Replace = Callable[[Any, Data, Replacements], Any]
"""Return a value without what is protected. Arguments: the value, the object that holds it, the replacements."""


def protect(model: type[BaseModel], data: Data, replacements: Replacements) -> Data:
    """Return the data of a model with every protected field replaced. Data that do not fit stay, and are refused."""
    replace = _find_in_model(model)
    protected: Data = data if replace is None else replace(data, {}, replacements)
    return protected


def has_protected(model: type[BaseModel]) -> bool:
    """Tell whether any field of a model is protected."""
    return _find_in_model(model) is not None


def replace_name(value: Any, pseudonym: Callable[[str], str]) -> Any:
    """Return the pseudonym of a name. What cannot be a name stays, and is refused later; so does a pseudonym."""
    if isinstance(value, list):
        return [replace_name(item, pseudonym) for item in value]
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or PSEUDONYM.fullmatch(value):
        return value
    return pseudonym(value)


def replace_key(value: Any, person: Callable[[str], str]) -> Any:
    """Return a key's fingerprint, or the pseudonym of a person where an e-mail address stands in its place."""
    if isinstance(value, list):
        return [replace_key(item, person) for item in value]
    if not isinstance(value, str):
        return value
    concealed = key_fingerprint(value)
    if FINGERPRINT.fullmatch(concealed) or len(concealed) > MAX_TEXT_LENGTH:
        return concealed
    return key_fingerprint(replace_addresses(concealed, person))


_BY_PROTECTION: dict[Protection, Replace] = {
    Protection.PERSON: lambda value, _, replacements: replace_name(value, replacements.person),
    Protection.GUESSABLE: lambda value, _, replacements: replace_name(value, replacements.pseudonym),
    Protection.KEY: lambda value, _, replacements: replace_key(value, replacements.person),
}


@cache
def _find_in_model(model: type[BaseModel]) -> Replace | None:
    candidates = {name: _find_in_type(field.annotation, field.metadata) for name, field in model.model_fields.items()}
    fields = {name: replace for name, replace in candidates.items() if replace is not None}
    if not fields:
        return None

    def replace_fields(value: Any, _: Data, replacements: Replacements) -> Any:
        if not isinstance(value, dict):
            return value
        protected = dict(value)
        for name, replace in fields.items():
            if name in protected:
                protected[name] = replace(value[name], value, replacements)
        return protected

    return replace_fields


def _find_in_type(annotation: Any, metadata: Iterable[Any] = ()) -> Replace | None:
    for marker in metadata:
        if isinstance(marker, Protection):
            return _BY_PROTECTION[marker]
        if isinstance(marker, ProtectedBy):
            return _replace_by_sibling(marker)
        if isinstance(marker, TypedBy):
            return _replace_typed(marker)
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _find_in_type(arguments[0], arguments[1:])
    if origin in (Union, UnionType):
        return _replace_in_union(arguments)
    if _is_model(annotation):
        return _find_in_model(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _replace_in_map(*map(_find_in_type, arguments))
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return _replace_in_list(_replace_in_union([item for item in arguments if item is not Ellipsis]))
    return None


def _replace_by_sibling(marker: ProtectedBy) -> Replace:
    def replace(value: Any, siblings: Data, replacements: Replacements) -> Any:
        meaning = siblings.get(marker.field)
        protection = marker.protections.get(meaning) if isinstance(meaning, str) else None
        return value if protection is None else _BY_PROTECTION[protection](value, siblings, replacements)

    return replace


def _replace_typed(marker: TypedBy) -> Replace:
    def replace(value: Any, siblings: Data, replacements: Replacements) -> Any:
        model = marker.model(siblings)
        return value if model is None else protect(model, value, replacements)

    return replace


def _replace_in_union(members: Iterable[Any]) -> Replace | None:
    """Replace as each member does that the value can be: of models with a tag only the one that has the value's tag."""
    replace_by_member = [
        (_without_metadata(member), replace) for member in members if (replace := _find_in_type(member)) is not None
    ]
    if not replace_by_member:
        return None
    if len(replace_by_member) == 1 and not _is_model(replace_by_member[0][0]):
        return replace_by_member[0][1]

    def replace_members(value: Any, siblings: Data, replacements: Replacements) -> Any:
        for member, replace in replace_by_member:
            if _has_tag(member, value):
                value = replace(value, siblings, replacements)
        return value

    return replace_members


def _has_tag(member: Any, value: Any) -> bool:
    """Tell whether a value has the tags of a union's member: the fields that allow only certain words."""
    if not isinstance(value, dict) or not _is_model(member):
        return True
    tags = {name: field for name, field in member.model_fields.items() if get_origin(field.annotation) is Literal}
    return all(value.get(name, field.default) in get_args(field.annotation) for name, field in tags.items())


def _without_metadata(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _replace_in_map(in_key: Replace | None, in_value: Replace | None) -> Replace | None:
    if in_key is None and in_value is None:
        return None

    def replace(value: Any, siblings: Data, replacements: Replacements) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            in_key(key, siblings, replacements) if in_key else key: in_value(item, siblings, replacements)
            if in_value
            else item
            for key, item in value.items()
        }

    return replace


def _replace_in_list(in_item: Replace | None) -> Replace | None:
    if in_item is None:
        return None

    def replace(value: Any, siblings: Data, replacements: Replacements) -> Any:
        return [in_item(item, siblings, replacements) for item in value] if isinstance(value, list) else value

    return replace
