"""The replay: every entry under a checkpoint looked at before the checkpoint is cosigned.

What is shown is taken in two rounds. First the entries are only hashed: if they do not give the
checkpoint's root, the source is at fault and nothing was learned of the log. Then the same
entries go through chains, map and signatures, and what fails now is what the log has signed.

Nothing of it is kept but the newest cosigned checkpoint. A restart replays from the beginning;
up to that checkpoint it does without signatures, for an equal root means the same entries.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256

from domain.errors import Malformed, Refused, Unavailable
from domain.trail.checkpoint import Checkpoint
from domain.trail.merkle import Range, leaf, root
from domain.trail.replay import Claim, Finding, Replay
from domain.trail.statement import Kind
from domain.trail.tiles import WIDTH
from domain.witness import Cosigned
from services.trail.source import Source

VerifyAll = Callable[[Iterable[Claim]], Sequence[bool]]
"""(public key, message, signature) each -> whether it holds."""
_EPOCH = bytes([Kind.EPOCH])
_PAYLOAD = slice(214, 246)
"""Where an entry has the SHA-256 of its body; its last byte is 0 if it was accepted."""
WAIT_SECONDS = 6.0
"""For so long a request waits; a log asks again, and the replay goes on meanwhile."""
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    """One checkpoint to replay up to."""

    checkpoint: Checkpoint
    tree: Range
    """The tree as far as its entries were hashed."""
    verify: bool = True
    """Whether signatures are verified; False where they were, for a tree of the same root."""
    bundles: list[bytes] = field(default_factory=list)
    """Root over each run of entries that was hashed at once, from the replayed ones on."""
    done: "Future[None]" = field(default_factory=Future)


class Replaying:
    """`Confirming` for the event loop, and a part of the process that works in a thread."""

    def __init__(
        self,
        source: Source,
        replay: Replay,
        verify_all: VerifyAll,
        newest: Cosigned | None,
        *,
        seconds: float = WAIT_SECONDS,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin a new `replay` and go up to the `newest` cosigned checkpoint at once.

        `close` gives back what `source` holds.
        """
        self._source = source
        self._replay = replay
        self._verify_all = verify_all
        self._seconds = seconds
        self._close = close
        self.tree = Range()
        """What was replayed and found right."""
        self.finding: Finding | None = None
        """The first entry that is not right; nothing is confirmed any more."""
        self.alarms = 0
        """Entries whose actor says that it was shown another log."""
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._ending = False
        self._job: _Job | None = None
        self._next: _Job | None = None
        if newest is not None:
            self._job = _Job(newest.checkpoint, self.tree, verify=not newest.replayed)

    @property
    def lag(self) -> int:
        """Entries that were shown and not replayed yet."""
        jobs = [job for job in (self._job, self._next) if job is not None]
        return max([job.checkpoint.size - self.tree.size for job in jobs], default=0)

    async def confirm(self, checkpoint: Checkpoint) -> None:
        """Return once all entries up to the checkpoint were replayed and give it.

        `Refused` REPLAY_FAILED names the check and the entry, REPLAY_ROOT says that the entries
        give another checkpoint, REPLAY_FILE names a file; `Unavailable` REPLAY_BEHIND after a
        while: ask again.
        """
        if self._known(checkpoint):
            return
        job = self._ask(checkpoint)
        try:
            async with asyncio.timeout(self._seconds):
                await asyncio.shield(asyncio.wrap_future(job.done))
        except TimeoutError:
            message = f"{self.tree.size} of {checkpoint.size} entries are replayed; ask again"
            raise Unavailable("REPLAY_BEHIND", message) from None

    def _known(self, checkpoint: Checkpoint) -> bool:
        """Return whether it was replayed; `Refused` if it can no longer be."""
        if self.finding is not None:
            raise _failed(self.finding)
        if checkpoint.size > self.tree.size:
            return False
        if self._replay.state.checkpoint(checkpoint.size) != checkpoint.root:
            raise _other_root(checkpoint)
        return True

    def _ask(self, checkpoint: Checkpoint) -> _Job:
        """Return the open job for a checkpoint; a new one takes the place of one not begun."""
        with self._lock:
            for job in (self._job, self._next):
                if job is not None and job.checkpoint == checkpoint:
                    return job
            if self._next is not None:
                later = Unavailable("REPLAY_BEHIND", "a newer checkpoint was shown meanwhile")
                self._next.done.set_exception(later)
            self._next = _Job(checkpoint, self.tree)
            self._news.set()
            return self._next

    def idle(self, seconds: float) -> None:
        """Wait until there may be something to replay; after `end`, not at all."""
        self._news.wait(seconds)
        if not self._ending:
            self._news.clear()

    def end(self) -> None:
        """Let nobody wait any more: the process is about to end."""
        self._ending = True
        self._news.set()

    def close(self) -> None:
        """Give back what the source holds."""
        self._close()

    def step(self) -> bool:
        """Take one bundle; return whether there was any. `Unavailable` when it is not there."""
        job = self._begun()
        if job is None:
            return False
        try:
            ended = self._advance(job)
        except Refused as e:
            log.error("the replay of size %d ends: %s", job.checkpoint.size, e)  # noqa: TRY400
            self._end(job, e)
        else:
            if ended:
                self._end(job, None)
        return True

    def _begun(self) -> _Job | None:
        with self._lock:
            if self._job is None and self._next is not None:
                # What was replayed meanwhile need not be hashed again.
                self._job, self._next = self._next, None
                self._job.tree = self.tree
            return self._job

    def _end(self, job: _Job, error: Refused | None) -> None:
        with self._lock:
            self._job = None
        if error is None:
            job.done.set_result(None)
        else:
            job.done.set_exception(error)

    def _advance(self, job: _Job) -> bool:
        """Hash or replay one bundle more; return whether the checkpoint is reached."""
        if self._known(job.checkpoint):
            return True
        try:
            if job.tree.size < job.checkpoint.size:
                self._hash(job)
            else:
                self._take(job)
        except Malformed as e:
            raise Refused("REPLAY_FILE", e.message) from e
        return False

    def _hash(self, job: _Job) -> None:
        number, place = divmod(job.tree.size, WIDTH)
        hashes = [leaf(e) for e in self._source.entries(number, job.checkpoint.size)[place:]]
        job.tree = job.tree.extend(hashes)
        job.bundles.append(root(hashes))
        if job.tree.size == job.checkpoint.size and job.tree.root != job.checkpoint.root:
            raise _other_root(job.checkpoint)

    def _take(self, job: _Job) -> None:
        size = job.checkpoint.size
        number, place = divmod(self.tree.size, WIDTH)
        entries = self._source.entries(number, size)[place:]
        bodies = self._source.bodies(number, size)[place:]
        for index, (entry, body) in enumerate(zip(entries, bodies, strict=True), self.tree.size):
            if not _fits(entry, body):
                raise Malformed("BODY", f"the body of entry {index} is not the one that was signed")
        if root([leaf(e) for e in entries]) != job.bundles[0]:
            job.tree, job.bundles = self.tree, []
            raise Unavailable("TRAIL_CHANGED", "the files have changed while they were read")
        job.bundles.pop(0)
        self.finding = self._first_wrong(entries, bodies, size, verify=job.verify)
        if self.finding is not None:
            log.error("the trail is not right: %s", _failed(self.finding).message)
            raise _failed(self.finding)
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
        for alarm in self._replay.alarms:
            log.error("entry %d has seen another log: %s", alarm.index, alarm.message)
        self.alarms += len(self._replay.alarms)
        self._replay.alarms.clear()
        return min([*self._replay.findings, *forged], key=lambda f: f.index, default=None)


def _fits(entry: bytes, body: bytes) -> bool:
    """Say whether a body is that of its entry: the tree is over entries alone."""
    accepted = entry[1:2] != _EPOCH and entry[-1:] == b"\0"
    return sha256(body).digest() == entry[_PAYLOAD] if accepted else not body


def _failed(finding: Finding) -> Refused:
    message = f"entry {finding.index} fails the check {finding.check}: {finding.message}"
    return Refused("REPLAY_FAILED", message)


def _other_root(checkpoint: Checkpoint) -> Refused:
    message = f"the entries give another root than the checkpoint of size {checkpoint.size}"
    return Refused("REPLAY_ROOT", message)
