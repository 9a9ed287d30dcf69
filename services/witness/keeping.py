"""A replay that outlives its process: kept now and then, and taken up again at the next start.

Only what was replayed and found right is ever kept, whole or not at all. So whatever ends the
process, the next one goes on from an older checkpoint at worst.
"""

import logging
from collections.abc import Callable

from domain.errors import HubError, Unavailable
from domain.trail.kept import Preface, decode, encode
from domain.trail.replay import Kept, Replay
from services.trail.keeping import StateFile

KEEP_EACH = 10_000
"""So many entries more, or a tenth of the log if that is more, before it is kept again."""
log = logging.getLogger(__name__)


class Keeping:
    """Makes the replay of one log, and keeps it in a file."""

    def __init__(
        self, file: StateFile, begin: Callable[[Kept | None], Replay], origin: str, trust: bytes
    ) -> None:
        """`begin` makes a replay, of what was kept or new; `trust` is the SHA-256 of trust.json."""
        self._file = file
        self._begin = begin
        self._origin = origin
        self._trust = trust
        self._size = 0
        """Entries under what was kept last, or was to be."""

    def anew(self) -> Replay:
        """Return a replay before the first entry."""
        self._size = 0
        return self._begin(None)

    def taken_up(self) -> Replay | None:
        """Return the replay as it was kept; None, with a line in the log, if it cannot be used."""
        try:
            data = self._file.read()
            if data is None:
                return None
            preface = Preface.of(data)
            why = preface.unfit(self._trust)
            if preface.checkpoint.origin != self._origin:
                why = "it is of another log"
            if not why:
                replay = self._begin(decode(data))
                self._size = replay.state.size
                return replay
        except HubError as e:
            why = e.message
        log.warning("the kept state is set aside, everything is replayed: %s", why)
        return None

    def due(self, size: int) -> bool:
        """Say whether a replay up to `size` entries is worth to be kept while it goes on."""
        return size - self._size >= max(KEEP_EACH, self._size // 10)

    def keep(self, replay: Replay) -> None:
        """Keep a replay, if it stands right after a checkpoint; its signatures hold.

        A disk that fails holds nothing up: it is tried again as late as if it had not.
        """
        kept = replay.kept
        if kept is None or kept.state.size == self._size:
            return
        self._size = kept.state.size
        try:
            self._file.write(encode(kept, self._origin, self._trust))
        except Unavailable as e:
            log.warning("the replay goes on and could not be kept: %s", e)
