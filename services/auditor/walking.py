"""One pass over a log: tree, tiles, bodies, chains, map, registry, and signatures beside it."""

from collections import deque
from collections.abc import Callable, Collection, Sequence

from domain.errors import Malformed
from domain.trail.checkpoint import Checkpoint
from domain.trail.replay import Claim, Finding, Replay
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
        skip: int = 0,
        only: Collection[bytes] | None = None,
    ) -> None:
        """Take every entry, and report; the log must continue `earlier`.

        Signatures of the first `skip` entries are not verified; with `only`, those of these
        streams alone, whose entries are kept.
        """
        size = self._checkpoint.size
        heads = replay.state.heads = ClaimedHeads(self._tools.maps, size)
        tree = TreeCheck(self._source, self._checkpoint, self._report, earlier)
        for number in range(-(-size // WIDTH)):
            first = number * WIDTH
            try:
                entries = self._source.entries(number, size)
                bodies = self._source.bodies(number, size)
            except Malformed as e:
                self._report.find(e.code, e.message, first)
                break
            tree.take(entries)
            claims = []
            for index, (entry, body) in enumerate(zip(entries, bodies, strict=True), first):
                if entry[1:2] == _EPOCH:
                    heads.claim(index, entry[_MAP_ROOT])
                claim = replay.take(entry, body)
                if only is not None:
                    if entry[_STREAM] not in only:
                        continue
                    self.kept.append((index, entry, body))
                if claim is not None and index >= skip:
                    claims.append((index, claim))
            self._verify(claims)
            self._tools.progress(first + len(entries), size)
            if len(replay.findings) > MOST_FINDINGS:
                break
        tree.finish()
        for index in heads.wrong():
            self._report.find(MAP, "the map of heads has another root", index)
        self._alarm(replay.alarms, noted=only is not None)
        self._tell(replay, skip)

    def _alarm(self, alarms: Sequence[Finding], *, noted: bool) -> None:
        """Report what actors say against the log; of some streams only a note holds or not."""
        if noted and alarms:
            message = f"{len(alarms)} actions name a root that this log never had; the first is"
            self._report.notes.append(f"{message} entry {alarms[0].index}: see `audit verify`")
        elif not noted:
            for found in alarms:
                self._report.find(found.check, found.message, found.index)

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

    def _tell(self, replay: Replay, skip: int) -> None:
        while self._waiting:
            self._settle()
        whole = replay.state.size == self._checkpoint.size
        if whole:
            replay.finish()
        for found in replay.findings:
            self._report.find(found.check, found.message, found.index)
        failed = {finding.check for finding in self._report.findings}
        if whole and not replay.findings:
            self._report.holds("CHAINS", "every stream and every actor counts without gaps")
            if MAP not in failed:
                keys = len(replay.state.heads)
                message = f"every EPOCH has the map of heads, of {keys} keys at the end"
                self._report.holds(MAP, message)
            self._report.holds("BODIES", "every body is the one that was signed")
        self._report.findings.sort(key=lambda f: -1 if f.index is None else f.index)
        if whole and SIGNATURE not in failed:
            after = f", from entry {skip} on" if skip else ""
            self._report.holds(SIGNATURE, f"{self._signed} signatures{after}")
