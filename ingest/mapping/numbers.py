"""Numbers in the forms that a mapping names: separators of thousands, decimal commas, signs of currencies. Pure.

Nothing is guessed: ``1,000`` is a thousand in one country and one in the next, so it is no number until the mapping
says which.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ingest.intake.rejection import Rejection
from tallystick.vocabulary.base import Currency, decimal_of

MAX_NUMBER_LENGTH = 80
THOUSANDS: Mapping[str, str] = {",": ",", ".": ".", "'": "'\u2019", " ": " \u00a0\u202f\u2009", "_": "_"}
"""Separators of thousands, and the characters that are written for each."""
Separator = Literal[",", ".", "'", " ", "_"]
Sign = Annotated[str, StringConstraints(min_length=1, max_length=16)]

_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")
_CURRENCY = re.compile(r"[$\u00a2-\u00a5\u20a0-\u20cf]|^[A-Z]{3}\b|\b[A-Z]{3}$")
_SEPARATED = re.compile(r"[0-9][,.'\u2019 \u00a0\u202f\u2009_][0-9]")
_WORDS_FOR_NONE = frozenset(
    {"-", "--", "\u2013", "\u2014", "?", "n/a", "na", "#n/a", "none", "nil", "undefined", "unknown", "<na>", "(null)"}
)


class NumberForm(BaseModel):
    """How numbers are written: the separator of thousands, the decimal sign (or several), and signs of currencies with
    the code of each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    thousands: Separator | None = None
    decimal: Literal[".", ","] | list[Literal[".", ","]] = "."
    currency: dict[Sign, Currency] = {}

    @model_validator(mode="after")
    def _check_signs(self) -> "NumberForm":
        if self.thousands in self.decimal_signs:
            raise ValueError(
                f"takes {self.thousands!r} for the separator of thousands and for the decimal sign: say which it is; "
                "`columns` has a form for single columns"
            )
        return self

    @property
    def decimal_signs(self) -> tuple[str, ...]:
        return (self.decimal,) if isinstance(self.decimal, str) else tuple(self.decimal)


class Numbers(NumberForm):
    """The form of all numbers of a file, and under ``columns`` the whole form of single columns."""

    columns: dict[Annotated[str, Field(min_length=1, max_length=256)], NumberForm] = {}


class Amount(NamedTuple):
    """A number, and the currency whose sign or code stands beside it."""

    number: Decimal
    currency: str | None


class NumberReader:
    """Reads the numbers of one column in its form."""

    def __init__(self, column: str, form: NumberForm) -> None:
        self._column = column
        self._currency = form.currency
        self._signs = sorted(form.currency, key=len, reverse=True)
        separators = THOUSANDS[form.thousands] if form.thousands else ""
        self._separators = re.compile(f"[{re.escape(separators)}]") if separators else None
        signs = "".join(re.escape(sign) for sign in form.decimal_signs)
        whole = "[0-9]+"
        if separators:
            group = f"[{re.escape(separators)}]"
            whole = f"(?:{whole}|[0-9]{{1,3}}(?:{group}[0-9]{{2,3}})*{group}[0-9]{{3}})"
        self._number = re.compile(rf"(-?{whole})(?:[{signs}]([0-9]+))?((?:[eE][+-]?[0-9]{{1,2}})?)")

    def read(self, value: Any) -> Amount:
        """Read a number of the file, or a text that is one. Raises Rejection, which names what the mapping could
        say."""
        if isinstance(value, str):
            text = value.strip()
            currency = None
            if self._signs:
                text, currency = self._take_currency(text)
            try:
                return Amount(self._parse(text), currency)
            except ValueError:
                raise Rejection(self._column, explain_text(value)) from None
        if not isinstance(value, bool) and isinstance(value, int | float | Decimal):
            number = Decimal(str(value))
            if number.is_finite():
                return Amount(number, None)
        raise Rejection(self._column, "must be a number in plain digits, such as 100 or 0.25")

    def _take_currency(self, text: str) -> tuple[str, str | None]:
        for sign in self._signs:
            for negative in ("", "-"):
                if text.startswith(negative + sign):
                    return negative + text[len(negative + sign) :].lstrip(), self._currency[sign]
            if text.endswith(sign):
                return text[: -len(sign)].rstrip(), self._currency[sign]
        return text, None

    def _parse(self, text: str) -> Decimal:
        match = self._number.fullmatch(text) if len(text) <= MAX_NUMBER_LENGTH else None
        if match is None:
            raise ValueError
        whole, fraction, exponent = match.groups()
        if self._separators is not None:
            whole = self._separators.sub("", whole)
        return decimal_of(whole + ("." + fraction if fraction else "") + exponent, exponent=True)


def make_number_readers(columns: Sequence[str], numbers: Numbers) -> dict[str, NumberReader]:
    """Make the reader of each column."""
    return {column: NumberReader(column, numbers.columns.get(column, numbers)) for column in columns}


def explain_text(text: str) -> str:
    """Explain why a text is no number, and name the key of the mapping that would make it one. No word of it but usual
    ones for an absent value is repeated."""
    text = text.strip()
    if text.casefold() in _WORDS_FOR_NONE:
        return f"must be a number, and is {text!r}: if that is an absent one, say `absent: [{text!r}]` in the mapping"
    if len(text) > MAX_NUMBER_LENGTH or not any(digit in text for digit in "0123456789"):
        return "must be a number in plain digits, such as 100 or 0.25"
    if _CURRENCY.search(text):
        return 'must be a number, and has a currency beside it: say `numbers: {currency: {"$": USD}}` in the mapping'
    if text.endswith("%"):
        return "must be a number, and is a percentage: divide it by 100 in the file"
    if _SEPARATED.search(text) and not _PLAIN.fullmatch(text):
        return (
            'must be a number in plain digits, and has a separator: say `numbers: {thousands: ","}` or '
            '`numbers: {decimal: ","}` in the mapping'
        )
    return "must be a number in plain digits, such as 100 or 0.25"
