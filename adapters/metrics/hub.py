"""What an operator watches of a hub: answers, commits, feeds, withdrawals, designations."""

from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram

from adapters.metrics.asked import (
    FAST,
    Asked,
    AskedCounter,
    Samples,
    age_seconds,
    asked,
    asked_value,
)
from domain.action import Outcome
from domain.feed import LANES, Skip
from domain.messages import FeedPage
from domain.ports import Language
from domain.reasons import CODES
from domain.vocabulary import SEALED, Seat

_ACCEPTED = "ACCEPTED"


class Waiting(Protocol):
    """What waits for the reader of one seat."""

    @property
    def entries(self) -> int:
        """How many entries wait, as far as they were counted."""
        ...

    @property
    def since_ms(self) -> int | None:
        """Since when the oldest of them waits; None when nothing does."""
        ...


class HubMetrics:
    """Registered in the registry of a hub's process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register in `registry`."""
        self._registry = registry
        self._fields: dict[str, Mapping[str, int]] = {}
        """Event type -> its sealed fields by category."""
        answers = Counter(
            "nrm_actions", "Actions answered, by reason code.", ["code"], registry=registry
        )
        self._answers = cache(answers.labels)
        # A counter that begins with its first event has no increase that an alert could see.
        for code in (_ACCEPTED, "RULES_FAILED"):
            self._answers(code)
        self._commit = Histogram(
            "nrm_commit_seconds", "Time of one commit.", buckets=FAST, registry=registry
        )
        self._batch = Histogram(
            "nrm_commit_actions",
            "Actions in one commit.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200),
            registry=registry,
        )
        self._decisions = Counter(
            "nrm_consent_decisions",
            "Consent decisions explained to an agency, by reason code.",
            ["code"],
            registry=registry,
        )
        for code in CODES:
            self._decisions.labels(code)
        self._disclosed = Counter(
            "nrm_fields_disclosed",
            "Sealed fields served to a reader, by category.",
            ["category"],
            registry=registry,
        )
        self._withheld = Counter(
            "nrm_fields_withheld",
            "Fields served to a reader as a digest only, by category.",
            ["category"],
            registry=registry,
        )
        for category in SEALED:
            self._disclosed.labels(category.name)
            self._withheld.labels(category.name)

    def answered(self, outcome: Outcome) -> None:
        """Count one answer."""
        self._answers(outcome.code or _ACCEPTED).inc()

    def committed(self, actions: int, seconds: float) -> None:
        """Note one commit."""
        self._commit.observe(seconds)
        self._batch.observe(actions)

    def decided(self, code: str) -> None:
        """Count one consent decision that was explained."""
        self._decisions.labels(code).inc()

    def served(self, page: FeedPage, language: Language) -> None:
        """Count the fields of a page, as its entries show or withhold them."""
        for item in page.items:
            if item.event.type not in self._fields:
                self._fields[item.event.type] = _fields(language, item.event.type)
            for category, number in self._fields[item.event.type].items():
                shown = category in item.categories
                (self._disclosed if shown else self._withheld).labels(category).inc(number)

    def watch_lag(self, lag: Callable[[], int]) -> None:
        """Ask `lag` at each scrape how far the projector is behind."""
        said = "Events not projected yet."
        asked_value(self._registry, "nrm_projection_lag_events", said, lag)

    def watch_store(self, head: Callable[[], int]) -> None:
        """Ask `head` for the newest position, which is the number of events."""
        asked_value(self._registry, "nrm_store_events", "Events in the event store.", head)

    def watch_skips(self, skips: Callable[[], Sequence[Skip]]) -> None:
        """Ask for every record that an operator ever let a lane pass over."""

        def counted() -> Mapping[str, int]:
            found = Tally(skip.lane for skip in skips())
            return {str(lane): found[lane] for lane in range(LANES)}

        said = "Records that an operator let a lane pass over."
        AskedCounter(self._registry, "nrm_lane_skipped", said, "lane", counted)

    def watch_readers(self, waiting: Callable[[], Mapping[Seat, Waiting]]) -> None:
        """Ask `waiting` what waits for the reader of each seat."""

        def samples() -> tuple[Samples, Samples]:
            found = waiting().items()
            ages: Samples = {(*seat,): age_seconds(w.since_ms) for seat, w in found}
            entries: Samples = {(*seat,): w.entries for seat, w in found}
            return ages, entries

        age = "Seconds for which the oldest entry that a seat has not fetched has been waiting."
        number = "Entries that a seat has not fetched, counted up to one page."
        gauges = {"nrm_feed_delivery_age_seconds": age, "nrm_feed_waiting_entries": number}
        Asked(self._registry, gauges, ("agency", "purpose"), samples)

    def watch_withdrawals(self, oldest: Callable[[], Mapping[str, int | None]]) -> None:
        """Ask `oldest` when the oldest withdrawal not cut off was recorded, by place, in ms."""
        asked(
            self._registry,
            "nrm_withdrawal_pending_seconds",
            "Age of the oldest withdrawal that a place has not taken in; 0 when there is none.",
            lambda: {(place,): age_seconds(at) for place, at in oldest().items()},
            ("place",),
        )

    def watch_registry(
        self,
        ends: Callable[[], Mapping[str, int]],
        keys: Callable[[], Mapping[str, int]],
    ) -> None:
        """Ask by agency when its first designation ends and since when its key is in force, ms."""
        asked(
            self._registry,
            "nrm_designation_expiry_timestamp_seconds",
            "When the first designation of an agency ends that no later one continues.",
            lambda: {(agency,): ms / 1000 for agency, ms in ends().items()},
            ("agency",),
        )
        asked(
            self._registry,
            "nrm_agency_key_start_timestamp_seconds",
            "Since when an agency's signing key is the one in force.",
            lambda: {(agency,): ms / 1000 for agency, ms in keys().items()},
            ("agency",),
        )


def _fields(language: Language, type: str) -> Mapping[str, int]:
    """Return how many sealed fields of each category an event of `type` has."""
    return Tally(c.name for _, c in language.shape(type).fields if c in SEALED)
