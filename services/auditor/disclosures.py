"""`audit disclosures`: every delivery that the trail lists, against what the rules give.

Read are entries and bodies alone, under a checkpoint that the auditor's policy accepts. Chains,
signatures and the registrars' approvals are `audit verify`'s matter, over the same checkpoint.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from domain.errors import Corrupt, HubError, Malformed
from domain.trail.checkpoint import Checkpoint
from domain.trail.delivered import Feed
from domain.trail.entry import Epoch, read
from domain.trail.merkle import Range, leaf
from domain.trail.state import Item
from domain.trail.statement import Kind, actor_id
from domain.trail.tiles import WIDTH
from domain.vocabulary import Seat
from services.auditor.differing import feed_of, finding_of
from services.auditor.expecting import Action, Expecting, Judging, Problem
from services.auditor.matching import Difference, Matching, Told
from services.auditor.opening import Own, Tools, opened, own_or_its
from services.auditor.report import MOST_FINDINGS, Report
from services.auditor.second_reading import Judged
from services.auditor.source import Source

LAG_MS = 60_000
"""What was recorded so shortly before the checkpoint may still be on its way to it."""
MOST_WAITING = 200_000
"""Deliveries that are held without a counterpart; with more of them the audit ends."""


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


class _Step(NamedTuple):
    """What one entry asks for: an action to fold, deliveries to hold, or the end of a round."""

    entry: int
    action: Action | None = None
    told: Item | None = None


def disclosures(source: Source, own: Own, tools: Tools, judging: Judging, asked: Asked) -> Report:
    """Return what was disclosed against the rules, withheld against them, or done otherwise."""
    report = Report(f"the disclosures in {source.name}")
    trusted = own_or_its(source, own, report)
    witnessed = opened(source.text("checkpoint"), trusted, tools, report)
    if witnessed is None:
        return report
    notary = actor_id(trusted.trust.notary)
    point = witnessed.checkpoint
    audit = _Audit(source, point, report, notary=notary, judging=judging, asked=asked)
    for number in range(-(-point.size // WIDTH)):
        if not audit.bundle(number):
            break
        tools.progress(audit.size, point.size)
    as_of_s = report.complete_as_of_s
    audit.finish(None if as_of_s is None else 1000 * as_of_s)
    return report


class _Audit:
    """One pass over a log."""

    def __init__(
        self,
        source: Source,
        checkpoint: Checkpoint,
        report: Report,
        *,
        notary: bytes,
        judging: Judging,
        asked: Asked,
    ) -> None:
        self._source = source
        self._checkpoint = checkpoint
        self._report = report
        self._notary = notary
        self._expecting = Expecting(judging)
        self._pack = judging.world.policy_id
        self._asked = asked
        self._tree = Range()
        self._feeds: defaultdict[Feed, Matching] = defaultdict(Matching)
        self._round: defaultdict[Feed, list[Told]] = defaultdict(list)
        """What was disclosed since the last EPOCH: cases come one after the other in it."""
        self._recorded_ms = 0
        self._disclosures = 0
        self._whole = True
        """Whether everything so far could be judged."""

    @property
    def size(self) -> int:
        """Entries taken."""
        return self._tree.size

    def bundle(self, number: int) -> bool:
        """Take the next bundle; return whether the log can be judged any further."""
        first, size = number * WIDTH, self._checkpoint.size
        try:
            entries, bodies = self._source.entries(number, size), self._source.bodies(number, size)
        except Malformed as e:
            return self._ends(e, first)
        self._tree = self._tree.extend([leaf(entry) for entry in entries])
        steps: list[_Step] = []
        for index, (entry, body) in enumerate(zip(entries, bodies, strict=True), first):
            try:
                step = self._read(index, entry, body)
            except HubError as e:
                self._ends(e, index)
                break
            if step is not None:
                steps.append(step)
        return self._take(steps) and self._whole

    def _read(self, index: int, data: bytes, body: bytes) -> _Step | None:
        """Return what an entry asks for; None if nothing: it is no part of this audit."""
        found = read(data)
        if isinstance(found, Epoch):
            return _Step(index)
        item = Item(data, found, body)
        if found.code:
            return None
        if sha256(body).digest() != item.said.payload:
            raise Malformed("BODY", "the body is not the one that was signed")
        if item.said.kind == Kind.ACTION:
            return _Step(index, action=self._expecting.read(index, item))
        if item.said.kind != Kind.DISCLOSURE:
            return None
        if item.said.actor != self._notary:
            self._report.find("NOTARY", "it is not by the notary that is pinned", index)
        if item.fault:
            self._report.find("DISCLOSURE", item.fault, index)
        return _Step(index, told=item)

    def _take(self, steps: Sequence[_Step]) -> bool:
        try:
            self._expecting.keep([step.action for step in steps if step.action])
        except HubError as e:
            return self._ends(e, steps[0].entry)
        for index, action, told in steps:
            try:
                if action:
                    self._fold(action)
                elif told:
                    self._hold(index, told)
                else:
                    self._compare()
            except HubError as e:
                return self._ends(e, index)
        self._expecting.put_down()
        waiting = sum(feed.waiting for feed in self._feeds.values())
        if waiting > MOST_WAITING:
            differs = Corrupt("DIFFERS", f"{waiting} deliveries have no counterpart")
            return self._ends(differs, self.size - 1)
        return True

    def _fold(self, action: Action) -> None:
        problems: list[Problem] = []
        ms = self._recorded_ms = action.recorded.recorded_ms
        for due in self._expecting.take(action, problems):
            feed = feed_of(due.delivery)
            self._report_all(feed, self._feeds[feed].expect(due))
        for check, message, seat in problems:
            if self._asked.wants(seat, ms):
                self._report.find(check, message, action.entry)

    def _hold(self, index: int, item: Item) -> None:
        self._disclosures += 1
        case_id, position = self._expecting.case_of(item.said.stream), self._expecting.position
        for delivery in item.deliveries:
            told = Told(delivery, case_id, index, item.said.actor_time_ms, position)
            self._round[feed_of(delivery)].append(told)

    def _compare(self) -> None:
        """Hold what the round disclosed, in the order of each feed, against what is due."""
        for feed, all_told in self._round.items():
            matching = self._feeds[feed]
            for told in sorted(all_told, key=lambda told: told.delivery.seq):
                self._report_all(feed, matching.tell(told))
        self._round.clear()

    def finish(self, as_of_ms: int | None) -> None:
        """Report on what is left, and what holds; `as_of_ms` is when witnesses saw the log."""
        report = self._report
        if self._whole:
            if self._tree.root != self._checkpoint.root:
                report.find("TREE", "the entries have another root than the checkpoint")
            self._compare()
            self._close(self._recorded_ms if as_of_ms is None else as_of_ms)
        report.notes.append(
            "chains, signatures and the registrars' approvals are checked by `audit verify`"
        )
        if not report.findings:
            self._tell_what_holds()

    def _close(self, as_of_ms: int) -> None:
        """Report what has no counterpart, but for what may still be on its way."""
        pending = 0
        for feed, matching in self._feeds.items():
            for difference in matching.finish():
                due = difference.due
                if difference.told is None and due and due.ms > as_of_ms - LAG_MS:
                    pending += self._asked.wants(Seat(feed.agency, feed.purpose), due.ms)
                else:
                    self._report_all(feed, iter((difference,)))
        if pending:
            self._report.notes.append(
                f"{pending} deliveries are pending: what brought them about was recorded within"
                f" {LAG_MS // 1000} s before the checkpoint"
            )

    def _tell_what_holds(self) -> None:
        report, expecting = self._report, self._expecting
        matched = sum(feed.matched for feed in self._feeds.values())
        report.holds("TREE", f"{self.size} entries have the checkpoint's root")
        report.holds(
            "RULES",
            f"each of {expecting.position} accepted actions is one that the rules of"
            f" {self._pack} allowed when it was recorded",
        )
        report.holds(
            "DISCLOSURES",
            f"{matched} deliveries in {self._disclosures} entries are just what the rules give,"
            f" in {len(self._feeds)} lanes of feeds",
        )
        report.holds(
            "TABLE", f"of {expecting.asked} deliveries the consent table says what they show"
        )

    def _report_all(self, feed: Feed, differences: Iterator[Difference]) -> None:
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

    def _ends(self, error: HubError, index: int) -> bool:
        """Report why nothing after this entry can be judged; what is open then stays so."""
        self._whole = False
        message = f"{error.message}; what follows was not judged"
        self._report.find(error.code, message, index)
        return False
