"""Find the model of a call in a price book by its names, independently of the folds (docs/rules.md, R6)."""

import re
from datetime import date
from functools import lru_cache

from ledger.pricing import name_parts
from ledger.pricing.price_book import Clause, PriceBook, PricedModel, Provider
from tallystick.gateways.provider_names import PROVIDER_NAMES

Listing = tuple[Provider, PricedModel, Provider | None]
"""A provider, a model of its list, and the provider that sells it; None where that is not known."""
Way = tuple[str, bool]
"""By what a model is found (``provider``, ``maker`` or ``any``), and whether without the date of its name."""

DATE = r"-([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})$"
VERSION = r"-([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}-[0-9]{2}|[0-9]{3,8}|[0-9]+k|preview|turbo|vision|exp)"


SAME_MODEL = (
    r"(-([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}-[0-9]{2}([0-9]{2})?|[0-9]{3,8}|v[0-9]{1,2}|preview|exp|latest))*(:[0-9])?"
)


def list_names(resolved: str | None, requested: str | None) -> list[str]:
    """Return the models whose price counts, the first one that has a price before the others."""
    answered, asked = (resolved or "").lower(), (requested or "").lower()
    names = [name for name in dict.fromkeys([answered, asked]) if name]
    if any(read_mark(name) for name in names):
        return [name for name in names if read_mark(name)]
    if len(names) == 2:
        model, version = (name.split("/")[-1] for name in names)
        if model and version.startswith(model):
            suffix = version[len(model) :]
            if re.fullmatch(f"({VERSION})+", suffix) and (
                suffix.endswith("preview") or any(character in "0123456789" for character in suffix)
            ):
                names.reverse()
    return names


def read_mark(name: str) -> str | None:
    """Return what a name says of a price of its own, such as ``ft:`` or ``:free``."""
    last = name.split("/")[-1]
    tuned, azure_tuned = name_parts.TUNED_MARKS
    marks = [tuned] if last.startswith(tuned) else [azure_tuned] if azure_tuned in last else []
    marks += [mark for mark in name_parts.OFFER_MARKS if last.endswith(mark)]
    return marks[0] if marks else None


@lru_cache(maxsize=10_000)
def list_spellings(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the spellings of a lower-case name, and those that leave its date out."""
    spellings = list(dict.fromkeys(_list_ends(name)))
    for change in range(9):
        for spelling in list(spellings):
            changed = _change(spelling, change)
            if changed and changed not in spellings:
                spellings.append(changed)
    undated: list[str] = []
    for spelling in spellings:
        dated = _match_date(spelling)
        shorter = spelling[: dated.start()] if dated else ""
        if shorter and shorter not in spellings and shorter not in undated:
            undated.append(shorter)
    return tuple(spellings), tuple(undated)


def list_ways(owners: list[Provider | None], *, is_local: bool) -> list[Way]:
    """Return the ways to look for a call's model, each to be gone through all books before the next. ``owners`` are
    what the books have for the provider that the call names; none where it names none."""
    ways = [("provider", False), ("provider", True)]
    if is_local:
        return ways
    is_protocol = any(owner is not None and owner.id.lower() == name_parts.CLIENT_PROTOCOL for owner in owners)
    if not any(owners) or is_protocol:
        ways += [("maker", False), ("maker", True)]
    if not any(owners):
        ways.append(("any", False))
    return ways


@lru_cache(maxsize=10_000)
def is_local_host(provider: str | None) -> bool:
    """Tell whether a lower-case provider is a machine of one's own."""
    name = provider or ""
    for scheme in ("http://", "https://"):
        name = name.removeprefix(scheme)
    host = name.partition("/")[0].partition(":")[0]
    return bool({host, re.split("[-_. ]", host)[0]} & name_parts.LOCAL_HOSTS)


@lru_cache(maxsize=10_000)
def find_local_host(model: str) -> str | None:
    """Return the machine of one's own that a model's path names first."""
    silent = name_parts.GATEWAYS | name_parts.PATH_WORDS
    first = next((part for part in model.split("/")[:-1] if part not in silent), None)
    return first if is_local_host(first) else None


def is_nobody(provider: str | None) -> bool:
    """Tell whether a lower-case provider is none, or one that says nothing of who sold the model."""
    return not provider or provider in name_parts.GATEWAYS


def find_listing(book: PriceBook, provider: str | None, model: str, way: Way) -> Listing | None:
    """Return a book's model for a lower-case name, with the provider in whose list it stands."""
    by, without_date = way
    spellings = list_spellings(model)[without_date]
    mark = read_mark(model)
    if by == "any":
        return _find_single(book, spellings, mark, is_named=not is_nobody(provider))
    if by == "provider":
        sellers = _find_sellers(book, provider, model)
        named = None if is_nobody(provider) else find_provider(book, provider or "")
        listings = [
            _find_at_seller(
                book,
                seller,
                spellings,
                mark,
                is_maker=seller.model_match is not None and position >= (named is not None),
            )
            for position, seller in enumerate(sellers)
        ]
    else:
        listings = [
            _find_at_seller(book, seller, (spelling,), mark, is_maker=True)
            for spelling in spellings
            for seller in book.providers
            if seller.model_match and is_match(seller.model_match, spelling)
        ]
    return next((listing for listing in listings if listing), None)


def find_provider(book: PriceBook, name: str) -> Provider | None:
    """Return the provider that a lower-case name means."""
    ids: list[str] = []
    before_last, _, _ = name.rpartition(".")
    for form in (name, before_last, name.split(".")[0]):
        if form:
            ids.append(form)
            ids += [id for id, aliases in PROVIDER_NAMES.items() if form == id or form in aliases]
    ids.append(re.split("[-_./ ]", name, maxsplit=1)[0])
    for id in ids:
        for provider in book.providers:
            if provider.id.lower() == id:
                return provider
    for provider in book.providers:
        if provider.match is not None and is_match(provider.match, name):
            return provider
    return None


def is_match(clause: Clause, name: str) -> bool:
    """Tell if a clause matches a lower-case name."""
    ((kind, value),) = ((kind, value) for kind, value in clause if value is not None)
    if kind == "any_of":
        return any(is_match(part, name) for part in value)
    if kind == "all_of":
        return all(is_match(part, name) for part in value)
    if kind == "regex":
        return re.search(value, name) is not None
    word = str(value).lower()
    return {
        "equals": name == word,
        "starts_with": name.startswith(word),
        "ends_with": name.endswith(word),
        "contains": word in name,
    }[kind]


def _find_sellers(book: PriceBook, provider: str | None, model: str) -> list[Provider]:
    sellers = []
    if not is_nobody(provider):
        owner = find_provider(book, provider or "")
        if owner is not None:
            sellers.append(owner)
            if owner.id.lower() != name_parts.CLIENT_PROTOCOL:
                return sellers
        if is_local_host(provider):
            return sellers
    silent = name_parts.GATEWAYS | name_parts.PATH_WORDS
    parts = [part for part in model.split("/")[:-1] if part not in silent]
    host = find_provider(book, parts[0]) if parts else None
    if host is not None:
        match = host.model_match
        if match is None or any(is_match(match, spelling) for spelling in list_spellings(model)[0]):
            sellers.append(host)
    return sellers


def _find_at_seller(
    book: PriceBook, seller: Provider, spellings: tuple[str, ...], mark: str | None, *, is_maker: bool
) -> Listing | None:
    lists = [seller]
    for id in seller.models_of:
        lists += [provider for provider in book.providers if provider.id == id]
    for spelling in spellings:
        for owner in lists:
            for model in owner.models:
                if _fits(model, spelling, mark) and (not is_maker or _is_same(model, spelling, mark)):
                    return owner, model, seller
    for spelling in spellings:
        for owner in lists:
            for model in owner.models:
                if model.id.lower() == spelling:
                    return owner, model, seller
    return None


def _find_single(book: PriceBook, spellings: tuple[str, ...], mark: str | None, *, is_named: bool) -> Listing | None:
    for spelling in spellings:
        listings = [
            (owner, model, None)
            for owner in book.providers
            for model in owner.models
            if _fits(model, spelling, mark) and _is_same(model, spelling, mark)
        ]
        if listings:
            if is_named and all(owner.model_match is None for owner, _, _ in listings):
                return None
            prices = listings[0][1].prices
            return listings[0] if all(model.prices == prices for _, model, _ in listings) else None
    return None


def _fits(model: PricedModel, spelling: str, mark: str | None) -> bool:
    return is_match(model.match, spelling) and (mark is None or _names_mark(model.match, spelling, mark))


def _is_same(model: PricedModel, spelling: str, mark: str | None) -> bool:
    """Tell if a spelling that fits is a name of the model or a version of it, and not a longer name."""
    if mark is not None:
        return True
    ends = [spelling[len(model.id) :]] if spelling.startswith(model.id.lower()) else []
    ends += _list_rests(model.match, spelling)
    return any(re.fullmatch(SAME_MODEL, end) for end in ends)


def _list_rests(clause: Clause, spelling: str) -> list[str]:
    """Return what stands in a spelling behind each text of the clause that it begins with."""
    ((kind, value),) = ((kind, value) for kind, value in clause if value is not None)
    if kind in ("any_of", "all_of"):
        return [rest for part in value if is_match(part, spelling) for rest in _list_rests(part, spelling)]
    if kind == "regex":
        fit = re.search(value, spelling)
        return [spelling[fit.end() :]] if fit and fit.start() == 0 and fit.end() else []
    word = str(value).lower()
    return [spelling[len(word) :]] if spelling.startswith(word) else []


def _names_mark(clause: Clause, spelling: str, mark: str) -> bool:
    """Tell if a part of a clause that matches has the mark in its text."""
    ((kind, value),) = ((kind, value) for kind, value in clause if value is not None)
    if kind in ("any_of", "all_of"):
        return any(_names_mark(part, spelling, mark) for part in value if is_match(part, spelling))
    return mark in str(value).lower()


def _list_ends(name: str) -> list[str]:
    """Return a path and its ends, or what an ARN names."""
    parts = name.split("/")
    if any(re.fullmatch("[0-9]+-month-commitment", part) or part in name_parts.UNSOLD_RESOURCES for part in parts):
        return []
    for index, part in enumerate(parts):
        if part.startswith("arn:"):
            resource = "/".join(parts[index:]).split(":", 5)[-1]
            kind, _, id = resource.partition("/")
            return [id] if id and kind in name_parts.MODEL_RESOURCES else []
    if len(parts) > name_parts.MAX_PATH_PARTS:
        return [name]
    last = parts.index("accounts") if "accounts" in parts else len(parts) - 1
    return [end for end in ("/".join(parts[index:]) for index in range(last + 1)) if end]


def _change(name: str, change: int) -> str | None:
    """Spell a name in the way that rule R6 lists at this place."""
    match change:
        case 0:
            return _change_at(name)
        case 1:
            return name[: -len("-latest")] if name.endswith("-latest") else None
        case 2:
            return re.sub(r"(-v[0-9]+)?:[0-9]+(:[0-9]+k)?$", "", name)
        case 3:
            region = next((region for region in name_parts.REGIONS if name.startswith(f"{region}.")), None)
            return name[len(region) + 1 :] if region else None
        case 4:
            return re.sub(r"^[a-z][a-z0-9]*\.([a-z])", r"\1", name)
        case 5 | 6:
            dated = _match_date(name)
            if dated is None or bool(dated[2]) is (change == 5):
                return None
            return name[: dated.start()] + "-" + ("-" if change == 5 else "").join(dated.group(1, 3, 4))
        case 7:
            return re.sub(r"([0-9])\.(?=[0-9])", r"\1-", name)
        case _:
            return re.sub(r"(?<=[^0-9.][0-9])-(?=[0-9]($|[^0-9.]))", ".", name)


def _change_at(name: str) -> str | None:
    model, at, version = name.rpartition("@")
    if not at or not model:
        return None
    if version in ("default", "latest") or re.fullmatch("[0-9]{1,3}", version):
        return model
    return f"{model}-{version}" if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}", version) else None


def _match_date(name: str) -> re.Match[str] | None:
    dated = re.search(DATE, name)
    if dated is None:
        return None
    try:
        date(*map(int, dated.group(1, 3, 4)))
    except ValueError:
        return None
    return dated
