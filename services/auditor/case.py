"""`audit case`: everything in the log about one case, and the proof that it is everything."""

import re
from collections.abc import Sequence
from uuid import UUID

from domain.errors import Malformed
from domain.trail.admission import Signer
from domain.trail.bundle import REGISTRY, streams_of
from domain.trail.entry import Entry
from domain.trail.heads import stream_key
from domain.trail.quorum import Witnessed
from domain.trail.replay import Keys, Replay
from domain.trail.state import Item
from services.auditor.clocks import check_clocks
from services.auditor.opening import Own, Tools, Trusted, opened, own_or_its
from services.auditor.report import Report
from services.auditor.streams import Placed, row_of
from services.auditor.walking import Walk
from services.trail.source import Source

_HEX = re.compile(r"[0-9a-f]{64}")


class Scan:
    """A log gone through for some streams: all its entries, their own signatures alone."""

    def __init__(
        self, source: Source, witnessed: Witnessed, trusted: Trusted, tools: Tools
    ) -> None:
        """Read nothing yet."""
        self._source = source
        self._witnessed = witnessed
        self._policy = trusted.policy
        self._tools = tools
        self.keys: Keys = tools.keys(trusted.trust)
        self.replay: Replay = trusted.replay(self.keys)

    def go(self, streams: Sequence[bytes], report: Report) -> dict[bytes, list[Placed]]:
        """Return the entries of each stream, by its tag; what does not hold is in `report`."""
        walk = Walk(self._source, self._witnessed.checkpoint, self._tools, report)
        walk.go(self.replay, only=frozenset(streams))
        check_clocks(self._witnessed, self._policy, self.replay.state.recorded_ms, report)
        found: dict[bytes, list[Placed]] = {stream: [] for stream in streams}
        if not report.findings:
            for index, data, body in walk.kept:
                item = Item(data, Entry.decode(data), body)
                found[item.said.stream].append(Placed(index, item))
        return found


def case(source: Source, own: Own, tools: Tools, asked: str) -> Report:
    """Return the trail of a case id, or of a stream in hex, and whether it is whole.

    The log is gone through from its first entry, so that its map of heads is known; signatures
    are verified of the registry's facts and of these streams alone. `Malformed` CASE_ID.
    """
    names = _streams(asked)
    report = Report(f"{asked} in the log in {source.name}")
    trusted = own_or_its(source, own, report)
    witnessed = opened(source.text("checkpoint"), trusted.policy, tools, report)
    if witnessed is None:
        return report
    scan = Scan(source, witnessed, trusted, tools)
    found = scan.go(list(names.values()), report)
    if report.findings:
        return report
    for name, stream in names.items():
        head = scan.replay.state.heads.get(stream_key(stream))
        if head is None:
            report.holds("COMPLETENESS", f"{name}: the log has nothing, and its map says so")
            continue
        message = f"{name}: all {head.length} entries that the map of heads counts"
        report.holds("COMPLETENESS", f"{message}; the last is entry {head.at}")
    shown = [p for name, s in names.items() if name != REGISTRY for p in found[s]]
    for at, item in sorted(shown, key=lambda p: p.at):
        signer = scan.keys.signer(item.said.actor)
        report.rows.append(row_of(at, item, _agency(signer), tools.type_name(item.said.type)))
    return report


def case_id_of(text: str) -> str:
    """Return a case id as the log writes it; `Malformed` CASE_ID if that is none."""
    try:
        return str(UUID(text))
    except ValueError:
        raise Malformed("CASE_ID", "a case id is a UUID") from None


def _agency(signer: Signer | None) -> str:
    return signer.agency if signer else ""


def _streams(asked: str) -> dict[str, bytes]:
    """Return the tag of each stream to look at, by its name."""
    if _HEX.fullmatch(asked):
        nobody = streams_of(str(UUID(int=0)))
        return {REGISTRY: nobody[REGISTRY], "stream": bytes.fromhex(asked)}
    return streams_of(case_id_of(asked))
