"""Project the whole log anew beside the live feeds and take their place, if they are the same.

Readers and live projectors go on meanwhile. Memory is that of one projector, however long the
log; what was begun and not ended is removed by the next.
"""

from collections.abc import Callable
from time import sleep

from domain.errors import Conflict
from domain.feed import Progress
from domain.ports import EventStore, Feeds, Language
from domain.rules.world import World
from services.hub.projector import STEP, Projector

PAUSE_S = 0.05
"""The live projector may be ahead by what came in the last moment: time for the log to have it."""


class Rebuilding:
    """One rebuild."""

    def __init__(self, store: EventStore, feeds: Feeds, language: Language, world: World) -> None:
        """Read `store`, replace the live generation of `feeds`."""
        self._store = store
        self._feeds = feeds
        self._language = language
        self._world = world

    def run(self, on_progress: Callable[[int, int], None] = lambda *_: None) -> int:
        """Rebuild and switch; return up to which position.

        `on_progress` is told the position reached and the log's head. `Refused` FEEDS_DIFFER
        when the log gives other feeds than the live ones: nothing is changed then.
        `Conflict` FEEDS_SWITCHED when another rebuild took the place of this one.
        """
        beside = self._feeds.beside()
        projector = Projector(self._store, beside, self._language, self._world)
        while True:
            while projector.step(STEP).recorded_ms:
                on_progress(projector.position, self._store.head())
            try:
                self._keep_offsets(beside)
                beside.switch()
            except Conflict as e:
                if e.code != "FEEDS_BEHIND":
                    raise
                projector.resume()
                sleep(PAUSE_S)
            else:
                return projector.position

    def _keep_offsets(self, beside: Feeds) -> None:
        """Let lanes that are read from Kafka go on there: what is before was read and is here."""
        ours = beside.progress()
        moved = {
            n: (ours[n], Progress(ours[n].position, live.offset))
            for n, live in enumerate(self._feeds.progress())
            if live.offset > ours[n].offset and live.position <= ours[n].position
        }
        beside.write([], moved)
