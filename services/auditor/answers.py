"""What a notary answers to a challenge, believed as far as it is proven under the auditor's policy.

Each answer comes with a proof of its own. One that does not hold becomes a finding.
"""

from typing import NamedTuple

from domain.errors import HubError
from domain.notary import HeadProof, Receipt, SignedStatement
from domain.trail.entry import Entry, Epoch
from domain.trail.heads import Head, MapProof
from domain.trail.merkle import leaf
from domain.trail.notes import NoteVerifying
from domain.trail.proof import Proof
from domain.trail.quorum import Policy, Witnessed, open_checkpoint
from services.auditor.opening import CHECKPOINT
from services.auditor.report import Report


class Counted(NamedTuple):
    """What a key of the map of heads has under a checkpoint that holds."""

    head: Head | None
    """None if the map has nothing under the key."""
    witnessed: Witnessed


class _Proven(NamedTuple):
    """A leaf under a checkpoint that holds."""

    at: int
    witnessed: Witnessed


class Answers:
    """Checks one answer after the other; None stands for one that does not hold."""

    def __init__(self, policy: Policy, verifying: NoteVerifying, report: Report) -> None:
        """Put findings into `report`."""
        self._policy = policy
        self._verifying = verifying
        self._report = report

    def checkpoint(self, note: bytes) -> Witnessed | None:
        """Return the checkpoint in a note."""
        try:
            return open_checkpoint(note, self._policy, self._verifying)
        except HubError as e:
            self._report.find(CHECKPOINT, str(e))
            return None

    def place(self, receipt: Receipt, posted: SignedStatement) -> int | None:
        """Return where what was posted stands in the log, just as it was."""
        proven = self._proven(receipt.entry, receipt.proof)
        if proven is None:
            return None
        entry = Entry.decode(receipt.entry)
        came = entry.statement, entry.signature, entry.code
        if came != (posted.statement, posted.signature, ""):
            self._report.find("CHALLENGE", "what came back is not what was posted", proven.at)
            return None
        return proven.at

    def counted(self, found: HeadProof, key: bytes) -> Counted | None:
        """Return what the map of the log's last entry has under `key`."""
        proven = self._proven(found.epoch, found.proof)
        if proven is None:
            return None
        try:
            epoch, way = Epoch.decode(found.epoch), MapProof.decode(found.map)
            way.check(epoch.map_root)
        except HubError as e:
            self._report.find("COMPLETENESS", str(e))
            return None
        size = proven.witnessed.checkpoint.size
        if not proven.at == epoch.covered == size - 1 or way.key != key:
            message = "the proof of a head is not of what was asked, or not of this checkpoint"
            self._report.find("COMPLETENESS", message)
            return None
        return Counted(way.head, proven.witnessed)

    def _proven(self, data: bytes, proof: str) -> _Proven | None:
        try:
            read = Proof.decode(proof.encode())
            return _Proven(read.index, read.check(leaf(data), self._policy, self._verifying))
        except HubError as e:
            self._report.find("INCLUSION", str(e))
            return None
