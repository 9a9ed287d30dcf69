"""Every way the mechanism can say no, as one small tree.

HubError
  Refused              a rule says no; the same request will be refused again
    Malformed          bytes or JSON that are not what they claim to be
    NotAuthentic       a signature, token or key that does not hold
  Conflict             somebody else was first; read again and retry
  Unavailable          a part is away or late; retry later
  Corrupt              stored bytes cannot be what they claim; stop and tell an auditor
  Unreadable           a sealed field that this reader cannot open

The class says whether to retry (`retriable`). `code` is the reason code that stands in
answers, metrics and the audit trail. Messages say what to do and never hold identity data:
they are made of codes, ids and counts alone.
"""

from typing import ClassVar


class HubError(Exception):
    """Root of every error raised on purpose."""

    retriable: ClassVar[bool] = False

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        """Reason code in UPPER_SNAKE_CASE, stable across versions."""
        self.message = message


class Refused(HubError):
    """A rule says no."""


class Malformed(Refused):
    """Input that is not what it claims to be."""


class NotAuthentic(Refused):
    """A signature, token or key that does not hold."""


class Conflict(HubError):
    """Somebody else was first."""

    retriable = True


class Unavailable(HubError):
    """A part is away or late."""

    retriable = True


class Corrupt(HubError):
    """Stored bytes cannot be what they claim."""


class Unreadable(HubError):
    """A sealed field that this reader cannot open.

    Codes: NO_KEY, ERASED, STALE, BAD_TAG, BAD_HEADER; the two BAD_ codes are integrity alarms.
    """
