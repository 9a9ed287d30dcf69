"""Instants as people give and read them: ISO 8601, or milliseconds since 1970 UTC."""

import re
from datetime import UTC, datetime, timedelta

from domain.errors import Malformed

_EPOCH = datetime.fromtimestamp(0, UTC)
_MS = timedelta(milliseconds=1)
_MILLISECONDS = re.compile("[0-9]{13,15}")
_DIGITS = re.compile("[0-9]+")


def instant(text: str) -> int:
    """Return an instant in ms since 1970 UTC; without an offset it is UTC. `Malformed` INSTANT.

    Fewer digits than milliseconds have since 2001 are refused: a year or seconds may be meant.
    """
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    try:
        if _DIGITS.fullmatch(text):
            raise ValueError
        at = datetime.fromisoformat(text)
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MS
    except (ValueError, OverflowError):
        message = "give a time such as 2026-06-01T09:00:00Z, or milliseconds since 1970 (13 digits)"
        raise Malformed("INSTANT", message) from None


def shown(ms: int) -> str:
    """Return an instant as ISO 8601 in UTC, to the millisecond."""
    try:
        return f"{(_EPOCH + ms * _MS).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
    except OverflowError:
        return f"{ms} ms after 1970"
