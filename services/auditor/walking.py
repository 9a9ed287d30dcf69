"""One pass over a log: tree, tiles, bodies, chains, map, registry, and signatures beside it."""

from collections import deque
from collections.abc import Callable, Collection, Sequence

from domain.errors import Malformed
from domain.trail.checkpoint import Checkpoint
from domain.trail.replay import Claim, Replay
from domain.trail.statement import Kind
from domain.trail.tiles import WIDTH
from services.auditor.mapping import ClaimedHeads
from services.auditor.opening import Tools
from services.auditor.report import MOST_FINDINGS, Report
from services.auditor.tree import TreeCheck
from services.trail.source import Source

MAP, SIGNATURE = "MAP", "SIGNATURE"
_UNDER_WAY = 16
"""Batches of signatures that wait for their workers at most."""
_EPOCH, _MAP_ROOT = bytes((Kind.EPOCH,)), slice(20, 52)
"""Kind of an EPOCH, and where it states the root of the map (docs/formats.md)."""
_STREAM = slice(4, 36)
"""Where a statement says of which stream it is (docs/formats.md)."""


class Walk:
    """Goes through a log once, bundle by bundle; what it holds grows with streams, not entries."""

    def __init__(
        self, source: Source, checkpoint: Checkpoint, tools: Tools, report: Report
    ) -> None:
        """Begin before the first entry of the log of `checkpoint`."""
        self._source = source
        self._checkpoint = checkpoint
        self._tools = tools
        self._report = report
        self.kept: list[tuple[int, bytes, bytes]] = []
        """Index, entry and body of everything in the streams that `go` was told."""
        self._waiting: deque[tuple[list[int], Callable[[], bytes]]] = deque()
        self._signed = 0

    def go(
        self,
        replay: Replay,
        *,
        earlier: Checkpoint | None = None,
        only: Collection[bytes] | None = None,
    ) -> None:
        """Take every entry from where `replay` stands on, and report; but not its alarms.

        The log must continue `earlier`. With `only`, signatures of these streams alone are
        verified, and their entries are kept; alarms are a note then.
        """
        size, start = self._checkpoint.size, replay.state.size
        tree = TreeCheck(self._source, self._checkpoint, self._report, earlier)
        if start and not tree.begin(replay.state.range):
            return
        heads = None if start else ClaimedHeads(self._tools.maps, size)
        if heads is not None:
            replay.state.heads = heads
        for number in range(start // WIDTH, -(-size // WIDTH)):
            if not self._take(number, replay, tree, heads, only):
                break
        if tree.continues:
            tree.finish()
        for index in heads.wrong() if heads is not None else ():
            self._report.find(MAP, "the map of heads has another root", index)
        if only is not None and replay.alarms:
            said = f"{len(replay.alarms)} actions name a root that this log never had; the first is"
            self._report.notes.append(f"{said} entry {replay.alarms[0].index}: see `audit verify`")
        self._tell(replay, start)

    def _take(
        self,
        number: int,
        replay: Replay,
        tree: TreeCheck,
        heads: ClaimedHeads | None,
        only: Collection[bytes] | None,
    ) -> bool:
        """Take a bundle, from where the replay stands on; return whether to take another."""
        first, size = number * WIDTH, self._checkpoint.size
        try:
            entries = self._source.entries(number, size)
            bodies = self._source.bodies(number, size)
        except Malformed as e:
            self._report.find(e.code, e.message, first)
            return False
        tree.take(entries)
        if not tree.continues:
            return False
        start, claims = replay.state.size, []
        new = zip(entries[start - first :], bodies[start - first :], strict=True)
        for index, (entry, body) in enumerate(new, start):
            if heads is not None and entry[1:2] == _EPOCH:
                heads.claim(index, entry[_MAP_ROOT])
            claim = replay.take(entry, body)
            if only is not None:
                if entry[_STREAM] not in only:
                    continue
                self.kept.append((index, entry, body))
            if claim is not None:
                claims.append((index, claim))
        self._verify(claims)
        self._tools.progress(first + len(entries), size)
        return len(replay.findings) <= MOST_FINDINGS

    def _verify(self, claims: Sequence[tuple[int, Claim]]) -> None:
        if claims:
            result = self._tools.pool.submit([claim for _, claim in claims])
            self._waiting.append(([index for index, _ in claims], result))
        while len(self._waiting) > _UNDER_WAY:
            self._settle()

    def _settle(self) -> None:
        indexes, result = self._waiting.popleft()
        self._signed += len(indexes)
        for index, holds in zip(indexes, result(), strict=True):
            if not holds:
                message = "the signature does not hold under the key of its actor"
                self._report.find(SIGNATURE, message, index)

    def _tell(self, replay: Replay, start: int) -> None:
        while self._waiting:
            self._settle()
        whole = replay.state.size == self._checkpoint.size
        if whole:
            replay.finish()
        for found in replay.findings:
            self._report.find(found.check, found.message, found.index)
        failed = {finding.check for finding in self._report.findings}
        after = f", from entry {start} on" if start else ""
        if whole and not replay.findings:
            self._report.holds("CHAINS", f"every stream and every actor counts without gaps{after}")
            if MAP not in failed:
                keys = len(replay.state.heads)
                message = f"every EPOCH has the map of heads, of {keys} keys at the end{after}"
                self._report.holds(MAP, message)
            self._report.holds("BODIES", f"every body is the one that was signed{after}")
        self._report.findings.sort(key=lambda f: -1 if f.index is None else f.index)
        if whole and SIGNATURE not in failed:
            self._report.holds(SIGNATURE, f"{self._signed} signatures{after}")
