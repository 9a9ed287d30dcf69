"""The rules as an auditor reads them, over stores in a folder that ends with the audit."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain.errors import Malformed
from domain.events import Event
from domain.policy import Policy, parse_policy
from schemas.language import AvroLanguage
from services.auditor.expecting import Judging
from services.auditor.packs import Packs
from services.bootstrap.auditor import own_copy
from services.bootstrap.parts import GC_THRESHOLDS
from services.bootstrap.settings import Settings, policy_of


class CheckedLanguage(AvroLanguage):
    """Reads every body whole, once: nothing is believed because a hub has accepted it."""

    def routing(self, type: str, body: bytes) -> Event:
        """Return what `event` returns, or `Malformed`."""
        return self.read(type, body)[1]


@contextmanager
def judging(settings: Settings, packs: Sequence[Path]) -> Iterator[Judging]:
    """Give what disclosures are judged with: these policy packs, or the one that `settings` name.

    `Malformed` UNREADABLE, POLICY_… or PACKS.

    The process is to do nothing else: its garbage collector is set for a fold.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    given = Packs([_pack(path) for path in packs] or [policy_of(settings)])
    with (
        TemporaryDirectory(prefix="nrm-audit-") as folder,
        closing(SqliteEventStore(str(Path(folder) / "events.db"))) as events,
        closing(SqliteFeeds(str(Path(folder) / "feeds.db"))) as feeds,
    ):
        yield Judging(language=CheckedLanguage(), packs=given, events=events, feeds=feeds)


def _pack(path: Path) -> Policy:
    data = own_copy(path)
    try:
        return parse_policy(data.decode())
    except UnicodeDecodeError:
        raise Malformed("POLICY_SYNTAX", f"{path} is not UTF-8") from None
    except Malformed as e:
        raise Malformed(e.code, f"{path}: {e.message}") from e
