"""The rules as an auditor reads them, over stores in a folder that ends with the audit."""

import gc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain.agency import Registry
from domain.events import Event
from domain.rules.world import World
from schemas.language import AvroLanguage
from services.auditor.expecting import Judging
from services.bootstrap.parts import GC_THRESHOLDS
from services.bootstrap.settings import Settings, policy_of


class CheckedLanguage(AvroLanguage):
    """Reads every body whole, once: nothing is believed because a hub has accepted it."""

    def routing(self, type: str, body: bytes) -> Event:
        """Return what `event` returns, or `Malformed`."""
        return self.read(type, body)[1]


@contextmanager
def judging(settings: Settings) -> Iterator[Judging]:
    """Give what disclosures are judged with: the policy pack that `settings` name.

    The process is to do nothing else: its garbage collector is set for a fold.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    policy = policy_of(settings)
    world = World(
        registry=Registry(),
        policies={policy.id: policy},
        home=policy.country,
        policy_id=policy.id,
    )
    with (
        TemporaryDirectory(prefix="nrm-audit-") as folder,
        closing(SqliteEventStore(str(Path(folder) / "events.db"))) as events,
        closing(SqliteFeeds(str(Path(folder) / "feeds.db"))) as feeds,
    ):
        yield Judging(language=CheckedLanguage(), world=world, events=events, feeds=feeds)
