"""`audit verify`: the whole log, from its files alone, under whom the auditor trusts."""

import hashlib

from domain.errors import HubError, Malformed, Unavailable
from domain.trail.checkpoint import Checkpoint
from domain.trail.kept import Preface, decode, encode
from domain.trail.replay import Keys, Replay
from services.auditor.anchors import check_anchors
from services.auditor.clocks import check_clocks
from services.auditor.comparing import compare
from services.auditor.opening import CHECKPOINT, Own, Tools, opened, own_or_its
from services.auditor.report import Report
from services.auditor.walking import Walk
from services.hub.restoring import LogReader
from services.trail.keeping import StateFile
from services.trail.source import Source
from services.trust import Trust


def verify(
    source: Source,
    own: Own,
    tools: Tools,
    state: StateFile | None = None,
    kafka: LogReader | None = None,
) -> Report:
    """Return what holds of the log and what does not; on success `state` is moved on.

    From what `state` keeps of an earlier run this one goes on: the log must continue it, and
    only what came after is read. An actor's word that it was shown another log (`SEEN`) does not
    hold the state up, since no later entry can take it back; every later run reports it again.

    With `kafka` the log is compared with the one there, record by record. Each entry is needed
    for that, so everything is verified from the start.
    """
    report = Report(f"the log in {source.name}")
    trusted = own_or_its(source, own, report)
    witnessed = opened(source.text("checkpoint"), trusted.policy, tools, report)
    if witnessed is None:
        return report
    checkpoint = witnessed.checkpoint
    earlier = _Earlier(state, trusted.trust)
    if not earlier.continued_by(checkpoint, report):
        return report
    needed = "--kafka needs every entry" if kafka is not None else ""
    replay = earlier.taken_up(tools.keys(trusted.trust), needed, report)
    Walk(source, checkpoint, tools, report).go(replay, earlier=earlier.checkpoint)
    check_clocks(witnessed, trusted.policy, replay.state.recorded_ms, report)
    if kafka is not None and not report.findings:
        compare(source, checkpoint.size, kafka, report)
    if tools.stamps is not None:
        check_anchors(source, checkpoint, tools.stamps, report)
    if not report.findings:
        earlier.replace(replay, checkpoint.origin, report)
    for alarm in replay.alarms:
        report.find(alarm.check, alarm.message, alarm.index)
    return report


class _Earlier:
    """What an earlier run kept in the state file, if there is one and it was there."""

    def __init__(self, state: StateFile | None, trust: Trust) -> None:
        """Read it; `Malformed` STATE if it is none of ours."""
        self._state = state
        self._trust = trust
        self._pins = hashlib.sha256(trust.dumps().encode()).digest()
        self._data = state.read() if state is not None else None
        try:
            self._preface = None if self._data is None else Preface.of(self._data)
        except Malformed as e:
            raise _unusable(e) from e

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Up to where the log was verified."""
        return self._preface.checkpoint if self._preface else None

    def continued_by(self, checkpoint: Checkpoint, report: Report) -> bool:
        """Say whether a checkpoint may continue it; `Malformed` STATE if it is of another log."""
        earlier = self.checkpoint
        if earlier is None:
            return True
        if earlier.origin != checkpoint.origin:
            raise Malformed("STATE", "the state file is of another log; give each log its own")
        if checkpoint.size >= earlier.size:
            return True
        shown = f"{earlier.size} entries were verified, {checkpoint.size} shown"
        report.find(CHECKPOINT, f"it goes backwards: {shown}")
        return False

    def taken_up(self, keys: Keys, needed: str, report: Report) -> Replay:
        """Return the replay that goes on from there; from the start if that is `needed`.

        The report says which; `Malformed` STATE when what was kept cannot be right.
        """
        if self._data is None or self._preface is None:
            return Replay(keys=keys, notary=self._trust.notary)
        why = self._preface.unfit(self._pins) or needed
        if why:
            report.notes.append(f"everything is verified from the start, not from the state: {why}")
            return Replay(keys=keys, notary=self._trust.notary)
        try:
            replay = Replay(keys=keys, notary=self._trust.notary, kept=decode(self._data))
        except HubError as e:
            raise _unusable(e) from e
        report.notes.append(
            f"entries 0 to {replay.state.size - 1} were verified on an earlier run, which this"
            " state file kept; verify without --state for the whole log"
        )
        return replay

    def replace(self, replay: Replay, origin: str, report: Report) -> None:
        """Keep `replay`, of the log of this origin, in its place; a disk that fails is noted."""
        if self._state is None or replay.kept is None:
            return
        try:
            self._state.write(encode(replay.kept, origin, self._pins))
        except Unavailable as e:
            report.notes.append(f"the state file stays as it was, for it cannot be written: {e}")


def _unusable(e: HubError) -> Malformed:
    return Malformed("STATE", f"{e.message}; verify without this state file, into a new one")
