"""One-time log-in of a case worker's browser.

A code works once and for minutes; a session lives in memory and ends when idle. Whoever may
run the gateway's command line may ask for a code, so there is no password to lose.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

CODE_MS = 15 * 60_000
IDLE_MS = 8 * 3_600_000


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """What is bound to one logged-in browser; `key` never leaves the process."""

    key: bytes

    @property
    def csrf(self) -> str:
        """Return the token that every form of this session carries."""
        return self.mark("csrf")

    def mark(self, *said: str) -> str:
        """Return the MAC of `said` under this session: proof that this session was shown it."""
        return hmac.new(self.key, json.dumps(said).encode(), hashlib.sha256).hexdigest()

    def made(self, mark: str, *said: str) -> bool:
        """Return whether `mark` is the MAC of `said`."""
        return hmac.compare_digest(mark.encode(), self.mark(*said).encode())


class OneTimeLogin:
    """Codes that open a session once, and the sessions they opened."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """`clock` gives milliseconds."""
        self._clock = clock
        self._codes: dict[str, int] = {}
        self._sessions: dict[str, tuple[Session, int]] = {}

    def new_code(self) -> str:
        """Return a code that opens one session within the next 15 minutes."""
        code = secrets.token_urlsafe(32)
        self._codes[code] = self._clock() + CODE_MS
        return code

    def redeem(self, code: str) -> str | None:
        """Return the id of a new session, or None when the code is unknown, used or too old."""
        now = self._clock()
        good = self._codes.pop(code, 0) > now
        self._codes = {c: until for c, until in self._codes.items() if until > now}
        self._sessions = {i: (s, e) for i, (s, e) in self._sessions.items() if e > now}
        if not good:
            return None
        session_id = secrets.token_urlsafe(32)
        self._sessions[session_id] = (Session(secrets.token_bytes(32)), now + IDLE_MS)
        return session_id

    def session(self, session_id: str) -> Session | None:
        """Return a session that was used within the last 8 hours, and keep it going."""
        now = self._clock()
        session, until = self._sessions.pop(session_id, (None, 0))
        if session is None or until <= now:
            return None
        self._sessions[session_id] = (session, now + IDLE_MS)
        return session

    def end(self, session_id: str) -> None:
        """Forget a session."""
        self._sessions.pop(session_id, None)
