"""Secrets in memory and where they rest.

A `Secret` cannot slip into a log, a message, a pickle or a JSON document by accident.
Python cannot wipe memory; this class does not pretend to.
"""

from collections.abc import Sequence
from typing import NoReturn, Protocol, SupportsIndex


class Secret:
    """Bytes that are shown only to a caller who asks with `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the bytes."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        # TypeError is what pickle and copy promise for objects that refuse.
        raise TypeError("a Secret is never pickled or copied")


class Keystore(Protocol):
    """Named secrets at rest. What `put` or `create` returned from is durable."""

    def get(self, name: str) -> Secret:
        """Return the secret, `Refused` NO_SECRET if there is none, `Corrupt` if it is damaged."""
        ...

    def put(self, name: str, secret: Secret) -> None:
        """Write the secret in place of an older one; a crash leaves the one or the other."""
        ...

    def create(self, name: str, size: int = 32) -> Secret:
        """Make, keep and return `size` random bytes; `Conflict` when the name is taken."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names in order."""
        ...
