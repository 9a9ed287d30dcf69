"""TOML read strictly: each key is taken once with its type, and what nobody took is refused.

Every refusal is `Malformed` under a code POLICY_… and names the path of the key.
"""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self, TypeVar

from domain.errors import Malformed

T = TypeVar("T")


class Table:
    """A TOML table being read."""

    def __init__(self, path: str, values: Mapping[str, Any]) -> None:
        self.path = path
        self._left = dict(values)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the table of the whole document."""
        try:
            return cls("", tomllib.loads(text))
        except ValueError as e:  # of a number with thousands of digits it is a bare one
            raise Malformed("POLICY_SYNTAX", f"the pack is not TOML: {e}") from e
        except RecursionError as e:
            raise Malformed("POLICY_SYNTAX", "the pack is nested too deep") from e

    def at(self, key: str) -> str:
        """Return the path of `key` from the top of the document."""
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str, kind: type[T]) -> T:
        """Take the value of `key`, which must be exactly a `kind`."""
        if key not in self._left:
            raise Malformed("POLICY_KEY_MISSING", f"{self.at(key)} is missing")
        return _typed(self.at(key), self._left.pop(key), kind)

    def number(self, key: str, low: int, high: int) -> int:
        """Take a whole number from `low` to `high`."""
        value = self.take(key, int)
        if not low <= value <= high:
            raise Malformed("POLICY_RANGE", f"{self.at(key)} must be from {low} to {high}")
        return value

    def items(self, key: str, kind: type[T]) -> tuple[T, ...]:
        """Take a list, each item exactly a `kind` and none there twice."""
        found = tuple(_typed(self.at(key), item, kind) for item in self.take(key, list))
        if len(set(found)) != len(found):
            raise Malformed("POLICY_TWICE", f"{self.at(key)} names something twice")
        return found

    def word(self, key: str, allowed: Collection[str]) -> str:
        """Take one word out of `allowed`."""
        word = self.take(key, str)
        _known(self.at(key), [word], allowed)
        return word

    def words(self, key: str, allowed: Collection[str]) -> tuple[str, ...]:
        """Take a list of words out of `allowed`, none there twice."""
        words = self.items(key, str)
        _known(self.at(key), words, allowed)
        return words

    def table(self, key: str) -> "Table":
        """Take a table."""
        return Table(self.at(key), self.take(key, dict))

    def tables(self, key: str) -> list["Table"]:
        """Take an array of tables."""
        path = self.at(key)
        entries = enumerate(self.take(key, list))
        return [Table(f"{path}[{n}]", _typed(f"{path}[{n}]", v, dict)) for n, v in entries]

    def keys(self, allowed: Collection[str]) -> tuple[str, ...]:
        """Return the keys that nobody took yet, each out of `allowed`."""
        _known(self.path, self._left, allowed)
        return tuple(self._left)

    def close(self) -> None:
        """Refuse what nobody took."""
        for key in self._left:
            raise Malformed("POLICY_KEY_UNKNOWN", f"{self.at(key)} is no key of a policy pack")


def _typed(path: str, value: object, kind: type[T]) -> T:
    # Exact on purpose: to `isinstance`, True is an int and a date-time is a date.
    if type(value) is not kind:
        raise Malformed("POLICY_TYPE", f"{path} must be {kind.__name__}")
    return value


def _known(path: str, words: Iterable[str], allowed: Collection[str]) -> None:
    for word in words:
        if word not in allowed:
            raise Malformed("POLICY_WORD_UNKNOWN", f"{path}: {word} is not in the vocabulary")
