"""Every feed as it is due beside every feed as it was disclosed, and what of it was asked for."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from domain.trail.delivered import Feed
from domain.trail.state import Item
from domain.vocabulary import Seat
from services.auditor.differing import feed_of, finding_of
from services.auditor.expecting import Due, Expecting
from services.auditor.matching import Difference, Matching, Told
from services.auditor.report import MOST_FINDINGS, Report
from services.auditor.second_reading import Judged

LAG_MS = 60_000
"""What was recorded so shortly before the checkpoint may still be on its way to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which findings are wanted; the whole log is read for any."""

    seat: Seat | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    """Recorded or disclosed before this instant."""

    def wants(self, seat: Seat | None, ms: int) -> bool:
        """Say whether what happened then, about a seat or about none, was asked for."""
        return (
            (self.seat is None or seat is None or seat == self.seat)
            and (self.from_ms is None or ms >= self.from_ms)
            and (self.to_ms is None or ms < self.to_ms)
        )


class Reconciling:
    """All feeds of a log, as far as it was taken; differences go into the report."""

    def __init__(self, expecting: Expecting, asked: Asked, report: Report) -> None:
        """Start with empty feeds; `expecting` is asked about what differs."""
        self._expecting = expecting
        self._asked = asked
        self._report = report
        self._feeds: defaultdict[Feed, Matching] = defaultdict(Matching)
        self._round: defaultdict[Feed, list[Told]] = defaultdict(list)
        """What was disclosed since the last EPOCH: cases come one after the other in it."""
        self.disclosures = 0
        """DISCLOSUREs taken."""

    @property
    def lanes(self) -> int:
        """How many lanes of feeds there are."""
        return len(self._feeds)

    @property
    def matched(self) -> int:
        """Deliveries that are as they are due."""
        return sum(feed.matched for feed in self._feeds.values())

    @property
    def waiting(self) -> int:
        """Deliveries without a counterpart so far."""
        return sum(feed.waiting for feed in self._feeds.values())

    def expect(self, due: Due) -> None:
        """Take the next delivery that is due in its feed."""
        feed = feed_of(due.delivery)
        self._tell(feed, self._feeds[feed].expect(due))

    def hold(self, entry: int, item: Item) -> None:
        """Take a DISCLOSURE, by its place in the log; compared is at the end of its round."""
        self.disclosures += 1
        case_id = self._expecting.actions.case_of(item.said.stream)
        position = self._expecting.position
        for delivery in item.deliveries:
            told = Told(delivery, case_id, entry, item.said.actor_time_ms, position)
            self._round[feed_of(delivery)].append(told)

    def compare(self) -> None:
        """Hold what the round disclosed, in the order of each feed, against what is due."""
        for feed, all_told in self._round.items():
            matching = self._feeds[feed]
            for told in sorted(all_told, key=lambda told: told.delivery.seq):
                self._tell(feed, matching.tell(told))
        self._round.clear()

    def finish(self, as_of_ms: int) -> None:
        """Report what has no counterpart at the end, but for what may still be on its way.

        `as_of_ms` is when the witnesses saw the log.
        """
        self.compare()
        pending = 0
        for feed, matching in self._feeds.items():
            for one in matching.finish():
                if one.due and not one.told and one.due.ms > as_of_ms - LAG_MS:
                    pending += self._asked.wants(Seat(feed.agency, feed.purpose), one.due.ms)
                else:
                    self._tell(feed, iter((one,)))
        if pending:
            self._report.notes.append(
                f"{pending} deliveries are pending: what brought them about was recorded within"
                f" {LAG_MS // 1000} s before the checkpoint"
            )

    def _tell(self, feed: Feed, differences: Iterator[Difference]) -> None:
        seat = Seat(feed.agency, feed.purpose)
        for one in differences:
            ms = one.due.ms if one.due else one.shown.ms
            if self._asked.wants(seat, ms):
                self._find(one, ms)

    def _find(self, one: Difference, ms: int) -> None:
        """Report a difference, with what the table says of each category that is shown."""
        if len(self._report.findings) >= MOST_FINDINGS:
            self._report.more += 1
            return
        judged, shown = Judged(""), one.shown
        if shown.case_id:
            position = one.due.position if one.due else shown.position
            judged = self._expecting.judge(shown.case_id, shown.delivery, position)
        self._report.findings.append(finding_of(one, judged, ms))
