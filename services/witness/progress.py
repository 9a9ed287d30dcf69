"""How far a log was replayed: its entries in two rounds, and what is wrong with the first bad one.

What is shown is taken in two rounds. First the entries are only hashed: if they do not give the
checkpoint's root, the source is at fault and nothing was learned of the log. Then the same
entries go through chains, map and signatures, and what fails now is what the log has signed.

No verdict against a log rests on what an earlier process kept: before one, everything is
replayed from the first entry.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256

from domain.errors import Malformed, Refused, Unavailable
from domain.trail.checkpoint import Checkpoint
from domain.trail.merkle import Range, leaf, root
from domain.trail.replay import Claim, Finding
from domain.trail.statement import Kind
from domain.trail.tiles import WIDTH
from services.trail.source import Source
from services.witness.keeping import Keeping

VerifyAll = Callable[[Iterable[Claim]], Sequence[bool]]
"""(public key, message, signature) each -> whether it holds."""
_EPOCH = bytes([Kind.EPOCH])
_PAYLOAD = slice(214, 246)
"""Where an entry has the SHA-256 of its body; its last byte is 0 if it was accepted."""
_FAILED, _ROOT = "REPLAY_FAILED", "REPLAY_ROOT"
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Job:
    """One checkpoint to replay up to."""

    checkpoint: Checkpoint
    tree: Range
    """The tree as far as its entries were hashed."""
    verify: bool = True
    """Whether signatures are verified; False where they were, for a tree of the same root."""
    bundles: list[bytes] = field(default_factory=list)
    """Root over each run of entries that was hashed at once, from the replayed ones on."""
    done: "Future[None]" = field(default_factory=Future)

    def begin(self, tree: Range) -> None:
        """Hash what comes after `tree`."""
        self.tree, self.bundles = tree, []


class Progress:
    """The replay of one log; one thread works, others ask what is `known`."""

    def __init__(self, source: Source, keeping: Keeping, verify_all: VerifyAll) -> None:
        """Stand before the first entry."""
        self._source = source
        self._keeping = keeping
        self._verify_all = verify_all
        self._replay = keeping.anew()
        self._resumed = False
        """Whether it rests on what was kept."""
        self._doubted = False
        """And no signed checkpoint has shown yet that this is of its log."""
        self._told = 0
        """Alarms that the process has logged."""
        self.tree = Range()
        """What was replayed and found right."""
        self.finding: Finding | None = None
        """The first entry that is not right; nothing is confirmed any more."""

    @property
    def alarms(self) -> int:
        """Entries whose actor says that it was shown another log, as many as a replay keeps."""
        return len(self._replay.alarms)

    def known(self, checkpoint: Checkpoint) -> bool:
        """Return whether it was replayed; `Refused` if it can no longer be."""
        if self.finding is not None:
            raise _failed(self.finding)
        if checkpoint.size > self.tree.size:
            return False
        known = self._replay.state.checkpoint(checkpoint.size) == checkpoint.root
        if not known and not self._doubted:
            raise _other_root(checkpoint)
        return known

    def take_up(self) -> None:
        """Go on from what was kept, if anything was."""
        replay = self._keeping.taken_up()
        if replay is not None:
            self._resumed = self._doubted = True
            self._replay = replay
            self.tree = replay.state.range  # others look at it first, and at the replay then

    def keep(self, *, if_due: bool = False) -> None:
        """Keep the replay, unless it is ahead of what was found right."""
        right = self.finding is None and self._replay.state.size == self.tree.size
        if right and (not if_due or self._keeping.due(self.tree.size)):
            self._keeping.keep(self._replay)

    def advance(self, job: Job) -> bool:
        """Hash or replay one bundle more; return whether the checkpoint is reached.

        `Refused` REPLAY_FAILED, REPLAY_ROOT, REPLAY_FILE.
        """
        try:
            return self._advanced(job)
        except Malformed as e:
            raise Refused("REPLAY_FILE", e.message) from e
        except Refused as e:
            if not self._rests_on_kept(e):
                raise
            log.warning("the kept state is set aside, everything is replayed: %s", e)
            self.tree, self._replay, self._told = Range(), self._keeping.anew(), 0
            job.begin(self.tree)
            self._resumed = self._doubted = False
            return False

    def _rests_on_kept(self, verdict: Refused) -> bool:
        """Say whether a replay from the first entry may come to another verdict."""
        if verdict.code == _FAILED:
            return self._resumed
        return verdict.code == _ROOT and self._doubted

    def _advanced(self, job: Job) -> bool:
        if self.known(job.checkpoint):
            self._doubted = False
            return True
        if job.checkpoint.size <= self.tree.size:
            raise _other_root(job.checkpoint)
        if job.tree.size < job.checkpoint.size:
            self._hash(job)
        else:
            self._take(job)
        return False

    def _hash(self, job: Job) -> None:
        number, place = divmod(job.tree.size, WIDTH)
        hashes = [leaf(e) for e in self._source.entries(number, job.checkpoint.size)[place:]]
        job.tree = job.tree.extend(hashes)
        job.bundles.append(root(hashes))
        if job.tree.size == job.checkpoint.size:
            if job.tree.root != job.checkpoint.root:
                raise _other_root(job.checkpoint)
            self._doubted = False

    def _take(self, job: Job) -> None:
        size = job.checkpoint.size
        number, place = divmod(self.tree.size, WIDTH)
        entries = self._source.entries(number, size)[place:]
        bodies = self._source.bodies(number, size)[place:]
        for index, (entry, body) in enumerate(zip(entries, bodies, strict=True), self.tree.size):
            if not _fits(entry, body):
                raise Malformed("BODY", f"the body of entry {index} is not the one that was signed")
        if root([leaf(e) for e in entries]) != job.bundles[0]:
            job.begin(self.tree)
            raise Unavailable("TRAIL_CHANGED", "the files have changed while they were read")
        job.bundles.pop(0)
        wrong = self._first_wrong(entries, bodies, size, verify=job.verify)
        if wrong is not None:
            if not self._resumed:
                log.error("the trail is not right: %s", _failed(wrong).message)
                self.finding = wrong
            raise _failed(wrong)
        self.tree = self._replay.state.range

    def _first_wrong(
        self, entries: Sequence[bytes], bodies: Sequence[bytes], size: int, *, verify: bool
    ) -> Finding | None:
        """Replay the next entries and return what is wrong with the first that is not right."""
        claims = []
        for index, (entry, body) in enumerate(zip(entries, bodies, strict=True), self.tree.size):
            claim = self._replay.take(entry, body)
            if claim is not None and verify:
                claims.append((index, claim))
        if self._replay.state.size == size:
            self._replay.finish()
        held = self._verify_all([claim for _, claim in claims])
        forged = [
            Finding(index, "SIGNATURE", "the signature does not hold under its actor's key")
            for (index, _), holds in zip(claims, held, strict=True)
            if not holds
        ]
        for alarm in self._replay.alarms[self._told :]:
            log.error("entry %d has seen another log: %s", alarm.index, alarm.message)
        self._told = len(self._replay.alarms)
        return min([*self._replay.findings, *forged], key=lambda f: f.index, default=None)


def _fits(entry: bytes, body: bytes) -> bool:
    """Say whether a body is that of its entry: the tree is over entries alone."""
    accepted = entry[1:2] != _EPOCH and entry[-1:] == b"\0"
    return sha256(body).digest() == entry[_PAYLOAD] if accepted else not body


def _failed(finding: Finding) -> Refused:
    message = f"entry {finding.index} fails the check {finding.check}: {finding.message}"
    return Refused(_FAILED, message)


def _other_root(checkpoint: Checkpoint) -> Refused:
    message = f"the entries give another root than the checkpoint of size {checkpoint.size}"
    return Refused(_ROOT, message)
