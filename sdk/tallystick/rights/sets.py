"""Sets of inferences, exactly: which calls a right holds, whether one right lies within another, and a call that shows
that it does not.

A set is a box: by dimension (model, region …) the values that it holds; an absent dimension holds any. A call is one
value by dimension. What a call does not say, ``None``, is a value that no list holds, so a list of regions never holds
a call of an unknown region. Differences of boxes are unions of boxes, so whatever is asked of unions is decided here
without a solver. There is an unlimited supply of names, so the complement of a list is never empty.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

Call = Mapping[str, str | None]
FIELDS = {
    "inference_classes": "inference_class", "models": "model", "providers": "provider", "regions": "region",
    "data_classes": "data_class", "purposes": "purpose", "environments": "environment", "operations": "operation",
}  # fmt: skip
"""The field of a call for each dimension of a set."""


class Values(NamedTuple):
    """The values of a dimension: the names, or with ``is_complement`` everything but them."""

    names: frozenset[str]
    is_complement: bool = False

    def contains(self, value: str | None) -> bool:
        return (value in self.names) != self.is_complement

    def intersect(self, values: "Values") -> "Values":
        if self.is_complement and values.is_complement:
            return Values(self.names | values.names, True)
        if self.is_complement:
            return Values(values.names - self.names)
        return Values(self.names - values.names if values.is_complement else self.names & values.names)

    def subtract(self, values: "Values") -> "Values":
        return self.intersect(Values(values.names, not values.is_complement))

    def is_empty(self) -> bool:
        return not self.names and not self.is_complement

    def is_subset(self, values: "Values") -> bool:
        return self.subtract(values).is_empty()

    def pick(self) -> str:
        """Return a value of these, which must not be empty: the first name, else ``other``, with a number where a list
        has that name."""
        if not self.is_complement:
            return min(self.names)
        number, name = 1, "other"
        while name in self.names:
            number, name = number + 1, f"other-{number + 1}"
        return name


ANY = Values(frozenset(), True)


class InferenceSet(NamedTuple):
    """A box of calls: values by dimension, in the order of their names; a dimension that is absent holds any."""

    values: tuple[tuple[str, Values], ...] = ()

    @classmethod
    def build(cls, lists: Mapping[str, Iterable[str]]) -> "InferenceSet":
        """Build a set from lists of names by dimension. Case does not tell names apart."""
        named = {dimension: frozenset(name.lower() for name in names) for dimension, names in lists.items()}
        return cls(tuple((dimension, Values(named[dimension])) for dimension in sorted(named)))

    def find_outside(self, call: Call) -> str | None:
        """Return the first dimension whose values do not hold the call's; None where the set holds the call."""
        for dimension, values in self.values:
            value = call.get(dimension)
            if not values.contains(None if value is None else value.lower()):
                return dimension
        return None

    def contains(self, call: Call) -> bool:
        return self.find_outside(call) is None

    def read(self, dimension: str) -> Values:
        return dict(self.values).get(dimension, ANY)

    def intersect(self, box: "InferenceSet") -> "InferenceSet":
        common = dict(self.values)
        for dimension, values in box.values:
            common[dimension] = common.get(dimension, ANY).intersect(values)
        return InferenceSet(tuple(sorted(common.items())))

    def is_empty(self) -> bool:
        return any(values.is_empty() for _, values in self.values)

    def is_subset(self, box: "InferenceSet") -> bool:
        return self.is_empty() or all(self.read(dimension).is_subset(values) for dimension, values in box.values)

    def subtract(self, box: "InferenceSet") -> Iterator["InferenceSet"]:
        """Yield what the box does not hold, as boxes that do not overlap."""
        remaining = dict(self.values)
        for dimension, values in box.values:
            outside = remaining.get(dimension, ANY).subtract(values)
            part = InferenceSet(tuple(sorted({**remaining, dimension: outside}.items())))
            if not part.is_empty():
                yield part
            remaining[dimension] = remaining.get(dimension, ANY).intersect(values)
            if remaining[dimension].is_empty():
                return

    def pick(self) -> dict[str, str]:
        """Return a call of the set, which must not be empty: a value of each dimension that it names."""
        return {dimension: values.pick() for dimension, values in self.values}


def find_witness(inner: Sequence[InferenceSet], outer: Sequence[InferenceSet]) -> dict[str, str] | None:
    """Return a call that one of the inner sets holds and none of the outer; None where there is none, and so the union
    of the inner sets lies within that of the outer."""
    for inference_set in inner:
        boxes = [] if inference_set.is_empty() else [inference_set]
        for subtrahend in outer:
            boxes = [part for box in boxes for part in box.subtract(subtrahend)]
        if boxes:
            return boxes[0].pick()
    return None
