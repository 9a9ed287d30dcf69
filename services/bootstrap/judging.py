"""The rules as an auditor reads them, over stores in a folder that ends with the audit."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain.agency import Registry
from domain.rules.world import World
from schemas.language import AvroLanguage
from services.auditor.expecting import Judging
from services.bootstrap.settings import Settings, policy_of


@contextmanager
def judging(settings: Settings) -> Iterator[Judging]:
    """Give what disclosures are judged with: the policy pack that `settings` name."""
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
        yield Judging(language=AvroLanguage(), world=world, events=events, feeds=feeds)
