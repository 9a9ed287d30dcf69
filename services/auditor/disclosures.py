"""`audit disclosures`: every delivery that the trail lists, against what the rules give.

Read are entries and bodies alone, under a checkpoint that the auditor's policy accepts. Chains,
signatures and the registrars' approvals are `audit verify`'s matter, over the same checkpoint.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from domain.errors import Corrupt, HubError, Malformed
from domain.trail.checkpoint import Checkpoint
from domain.trail.entry import Epoch, read
from domain.trail.merkle import Range, leaf
from domain.trail.quorum import Policy, Witnessed
from domain.trail.state import Item
from domain.trail.statement import Kind, actor_id
from domain.trail.tiles import WIDTH
from services.auditor.actions import Action
from services.auditor.clocks import check_clocks
from services.auditor.expecting import Expecting, Judging, Problem
from services.auditor.opening import Own, Tools, opened, own_or_its
from services.auditor.reconciling import Asked, Reconciling
from services.auditor.report import Report
from services.trail.source import Source

MOST_WAITING = 200_000
"""Deliveries that are held without a counterpart; with more of them the audit ends."""


class _Step(NamedTuple):
    """What one entry asks for: an action to fold, deliveries to hold, or the end of a round."""

    entry: int
    action: Action | None = None
    told: Item | None = None


def disclosures(source: Source, own: Own, tools: Tools, judging: Judging, asked: Asked) -> Report:
    """Return what was disclosed against the rules, withheld against them, or done otherwise.

    `Refused` PACK_MISSING when an action was recorded before the first of the packs.
    """
    report = Report(f"the disclosures in {source.name}")
    trusted = own_or_its(source, own, report)
    witnessed = opened(source.text("checkpoint"), trusted.policy, tools, report)
    if witnessed is None:
        return report
    notary = actor_id(trusted.trust.notary)
    point = witnessed.checkpoint
    audit = _Audit(source, point, report, notary=notary, judging=judging, asked=asked)
    for number in range(-(-point.size // WIDTH)):
        if not audit.bundle(number):
            break
        tools.progress(audit.size, point.size)
    audit.finish(witnessed, trusted.policy)
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
        self._asked = asked
        self._reconciling = Reconciling(self._expecting, asked, report)
        self._tree = Range()
        self._recorded_ms = 0
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
        self._recorded_ms = max(self._recorded_ms, found.recorded_ms)
        if isinstance(found, Epoch):
            return _Step(index)
        item = Item(data, found, body)
        if found.code:
            return None
        if sha256(body).digest() != item.said.payload:
            raise Malformed("BODY", "the body is not the one that was signed")
        if item.said.kind == Kind.ACTION:
            return _Step(index, action=self._expecting.actions.read(index, item))
        if item.said.kind != Kind.DISCLOSURE:
            return None
        if item.said.actor != self._notary:
            self._report.find("NOTARY", "it is not by the notary that is pinned", index)
        if item.fault:
            self._report.find("DISCLOSURE", item.fault, index)
        return _Step(index, told=item)

    def _take(self, steps: Sequence[_Step]) -> bool:
        try:
            self._expecting.actions.keep([step.action for step in steps if step.action])
        except HubError as e:
            return self._ends(e, steps[0].entry)
        for index, action, told in steps:
            try:
                if action:
                    self._fold(action)
                elif told:
                    self._reconciling.hold(index, told)
                else:
                    self._reconciling.compare()
            except (Corrupt, Malformed) as e:
                return self._ends(e, index)
        self._expecting.put_down()
        if self._reconciling.waiting > MOST_WAITING:
            message = f"more than {MOST_WAITING} deliveries have no counterpart"
            return self._ends(Corrupt("DIFFERS", message), self.size - 1)
        return True

    def _fold(self, action: Action) -> None:
        problems: list[Problem] = []
        ms = action.recorded.recorded_ms
        for due in self._expecting.take(action, problems):
            self._reconciling.expect(due)
        for check, message, seat in problems:
            if self._asked.wants(seat, ms):
                self._report.find(check, message, action.entry)

    def finish(self, witnessed: Witnessed, policy: Policy) -> None:
        """Report on what is left, and what holds; the checkpoint is that of the log."""
        report, as_of_s = self._report, self._report.complete_as_of_s
        if self._whole:
            if self._tree.root != self._checkpoint.root:
                report.find("TREE", "the entries have another root than the checkpoint")
            self._reconciling.finish(self._recorded_ms if as_of_s is None else 1000 * as_of_s)
            # Else everything in a log that is dated forward would be pending for ever.
            check_clocks(witnessed, policy, self._recorded_ms, report)
        report.notes.append(
            "chains, signatures and the registrars' approvals are checked by `audit verify`"
        )
        if not report.findings:
            self._tell_what_holds()

    def _tell_what_holds(self) -> None:
        report, expecting, reconciling = self._report, self._expecting, self._reconciling
        report.holds("TREE", f"{self.size} entries have the checkpoint's root")
        report.holds(
            "RULES",
            f"each of {expecting.position} accepted actions is one that the rules of"
            f" {expecting.judged_by} allowed when it was recorded",
        )
        report.holds(
            "DISCLOSURES",
            f"{reconciling.matched} deliveries in {reconciling.disclosures} entries are just what"
            f" the rules give, in {reconciling.lanes} lanes of feeds",
        )
        report.holds(
            "TABLE", f"of {expecting.asked} deliveries the consent table says what they show"
        )

    def _ends(self, error: HubError, index: int) -> bool:
        """Report why nothing after this entry can be judged; what is open then stays so."""
        self._whole = False
        message = f"{error.message}; what follows was not judged"
        self._report.find(error.code, message, index)
        return False
