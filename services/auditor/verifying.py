"""`audit verify`: the whole log, from its files alone, under whom the auditor trusts."""

import hashlib
import json
from dataclasses import dataclass
from typing import Protocol

from domain.errors import Malformed
from domain.trail.checkpoint import Checkpoint
from services.auditor.anchors import check_anchors
from services.auditor.clocks import check_clocks
from services.auditor.comparing import compare
from services.auditor.opening import CHECKPOINT, Own, Tools, opened, own_or_its
from services.auditor.report import Report
from services.auditor.walking import Walk
from services.hub.restoring import LogReader
from services.trail.source import Source


@dataclass(frozen=True, slots=True)
class Verified:
    """What an earlier audit left: the log up to here holds, its signatures included."""

    checkpoint: Checkpoint
    pins: str
    """SHA-256 of the trust.json under which the signatures were verified."""

    def dumps(self) -> bytes:
        """Return it as JSON."""
        origin, size, root = self.checkpoint
        said = {"origin": origin, "size": size, "root": root.hex(), "trust_sha256": self.pins}
        return json.dumps(said, indent=1).encode() + b"\n"

    @classmethod
    def loads(cls, data: bytes) -> "Verified":
        """Return what is in `data`, or raise `Malformed` STATE."""
        try:
            said = json.loads(data)
            point = Checkpoint(said["origin"], said["size"], bytes.fromhex(said["root"]))
            if type(said["size"]) is not int or len(point.root) != 32 or len(said) != 4:
                raise ValueError
            return cls(point, str(said["trust_sha256"]))
        except (ValueError, TypeError, KeyError, RecursionError) as e:
            message = "the state file is none of ours; verify without it, into a new one"
            raise Malformed("STATE", message) from e


class StateFile(Protocol):
    """Where the newest verified checkpoint is kept."""

    def read(self) -> bytes | None:
        """Return what was kept, if anything was."""
        ...

    def write(self, data: bytes) -> None:
        """Keep `data` in its place; durable when it returns."""
        ...


def verify(
    source: Source,
    own: Own,
    tools: Tools,
    state: StateFile | None = None,
    kafka: LogReader | None = None,
) -> Report:
    """Return what holds of the log and what does not; on success `state` is moved on.

    With `kafka` the log is compared with the one there, record by record.
    With `state`, the signatures that were verified before are not verified again. Everything is
    read again all the same, for chains and map, and must have the root that was verified.
    """
    report = Report(f"the log in {source.name}")
    trusted = own_or_its(source, own, report)
    witnessed = opened(source.text("checkpoint"), trusted, tools, report)
    if witnessed is None:
        return report
    checkpoint = witnessed.checkpoint
    pins = hashlib.sha256(trusted.trust.dumps().encode()).hexdigest()
    kept = state.read() if state is not None else None
    before = Verified.loads(kept) if kept is not None else None
    if before is not None and not _continues(checkpoint, before.checkpoint, report):
        return report
    skip = before.checkpoint.size if before and before.pins == pins else 0
    if skip:
        report.notes.append(
            f"signatures of the first {skip} entries were verified before and are not verified"
            " again; all entries and bodies are read, hashed and replayed again"
        )
    replay = trusted.replay(tools.keys(trusted.trust))
    earlier = before.checkpoint if before else None
    Walk(source, checkpoint, tools, report).go(replay, earlier=earlier, skip=skip)
    check_clocks(witnessed, trusted.policy, replay.state.recorded_ms, report)
    if kafka is not None and not report.findings:
        compare(source, checkpoint.size, kafka, report)
    if tools.stamps is not None:
        check_anchors(source, checkpoint, tools.stamps, report)
    if state is not None and not report.findings:
        state.write(Verified(checkpoint, pins).dumps())
    return report


def _continues(checkpoint: Checkpoint, earlier: Checkpoint, report: Report) -> bool:
    if earlier.origin != checkpoint.origin:
        raise Malformed("STATE", "the state file is of another log; give each log its own")
    if checkpoint.size < earlier.size:
        message = (
            f"it goes backwards: {earlier.size} entries were verified, {checkpoint.size} shown"
        )
        report.find(CHECKPOINT, message)
        return False
    return True
