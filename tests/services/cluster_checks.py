"""What must be the same everywhere: stores, feeds and topics of a hub in processes apart."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from adapters.kafka.client import Broker
from adapters.kafka.feed_topics import FeedFraming
from adapters.kafka.names import Names
from adapters.kafka.reading import ends_of, read
from domain.feed import LANES, Cursor, Entry, lanes_of
from domain.ports import EventStore, Feeds, Recorded, Refusal
from domain.publishing import FeedRecord
from domain.secret import Secret
from domain.vocabulary import Seat
from schemas.language import AvroLanguage

PAGE = 500
NAMES = Names("nrm:gb")


def metrics_of(address: str) -> Mapping[str, float]:
    """Return what a process counts, by metric; nothing while it does not answer."""
    found: dict[str, float] = defaultdict(float)
    with suppress(OSError), urlopen(f"{address}/metrics", timeout=10) as page:  # noqa: S310 - loopback
        for family in text_string_to_metric_families(page.read().decode()):
            for sample in family.samples:
                found[sample.name] += sample.value
    return found


def broker_as(bootstrap: str, credentials: Path, user: str) -> Broker:
    """Return the brokers as `user` reaches them, with the password that was handed out."""
    lines = (credentials / f"{user}.env").read_text("utf-8").split()
    said = dict(line.split("=", 1) for line in lines)
    password = Secret(said["NRM_KAFKA_PASSWORD"].encode())
    return Broker(bootstrap=bootstrap, user=said["NRM_KAFKA_USER"], password=password)


def log_of(store: EventStore) -> tuple[list[Recorded], list[Refusal]]:
    """Return everything that a store holds."""
    events: list[Recorded] = []
    while page := store.read_log(len(events), PAGE):
        events += page
    refusals: list[Refusal] = []
    while found := store.read_refusals(len(refusals), PAGE):
        refusals += found
    return events, refusals


def entries_of(feeds: Feeds) -> dict[Seat, list[Entry]]:
    """Return every entry of every seat, lane by lane."""
    found: dict[Seat, list[Entry]] = {}
    for seat in {seat for seat, _ in feeds.heads()}:
        at, entries = Cursor(), found.setdefault(seat, [])
        while page := feeds.read(seat, at, PAGE):
            for entry in page:
                at = at.past(entry.lane, entry.seq)
            entries += page
        entries.sort(key=lambda e: (e.lane, e.seq))
    return found


def topic_of(broker: Broker, seat: Seat) -> Iterator[FeedRecord]:
    """Yield the entries in the topic of `seat`, as it reads them itself."""
    framing, topic = FeedFraming(AvroLanguage(), NAMES), NAMES.feed(seat)
    with closing(read(broker, topic, 0, ends_of(broker, [topic])[topic][0])) as records:
        for r in records:
            record = framing.decode(seat, r.key, r.value, r.headers)
            if record is not None:
                yield record


def projected(feeds: Feeds, events: Sequence[Recorded]) -> bool:
    """Return whether every lane was projected up to its newest event."""
    newest = dict.fromkeys(range(LANES), 0)
    for event in events:
        for lane in lanes_of(event.case_id):
            newest[lane] = event.position
    progress = feeds.progress()
    return all(progress[lane].position >= position for lane, position in newest.items())
