"""`audit bundle`: what proves one case's trail whole, taken out of a log that was checked."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from domain.errors import Malformed, Refused, Unavailable
from domain.trail.anchors import Anchor, covering
from domain.trail.bundle import DISCLOSURES, REGISTRY, TRAIL, Bundle, Proven, Stream, streams_of
from domain.trail.checkpoint import Checkpoint
from domain.trail.heads import HeadMap, stream_key
from domain.trail.merkle import inclusion_proof
from domain.trail.proof import Proof
from services.auditor.anchors import anchored, anchors_of
from services.auditor.case import Scan
from services.auditor.evidence import check_bundle
from services.auditor.opening import Own, Tools, opened, own_or_its
from services.auditor.report import Report
from services.auditor.streams import Placed
from services.trail.source import Source


class Enclosed(NamedTuple):
    """What every bundle carries beside the evidence."""

    readme: bytes
    verifier: bytes


def bundle(
    source: Source, own: Own, tools: Tools, case_id: str, enclosed: Enclosed, *, bodies: bool
) -> tuple[Report, bytes]:
    """Return the report on the log and the bundle; no bundle where something does not hold.

    `bodies` says whether the sealed records of the case are in it. `Refused` NO_SUCH_CASE when
    the log has nothing about it, `Malformed` CASE_ID, `Unavailable` TRAIL_CHANGED.
    """
    try:
        case_id = str(UUID(case_id))
    except ValueError:
        raise Malformed("CASE_ID", "a case id is a UUID") from None
    report = Report(f"case {case_id} in the log in {source.name}")
    trusted = own_or_its(source, own, report)
    note = source.text("checkpoint")
    witnessed = opened(note, trusted, tools, report)
    if witnessed is None:
        return report, b""
    scan = Scan(source, witnessed.checkpoint, trusted, tools)
    names = streams_of(case_id)
    found = scan.go(list(names.values()), report)
    if report.findings:
        return report, b""
    if not found[names[TRAIL]]:
        raise Refused("NO_SUCH_CASE", "the log has no entry of this case, and its map says so")
    making = _Making(source, witnessed.checkpoint, note, scan.replay.state.heads)
    streams = {
        name: making.stream(stream, found[stream], bodies=bodies or name == REGISTRY)
        for name, stream in names.items()
    }
    last = witnessed.checkpoint.size - 1
    made = Bundle(
        case_id=case_id,
        policy=source.text("policy") if own.policy is None else own.policy,
        trust=source.text("trust.json") if own.trust is None else own.trust,
        checkpoint=note,
        epoch=source.entry(last, last + 1),
        epoch_proof=making.proof(last),
        streams=MappingProxyType(streams),
        readme=enclosed.readme,
        verifier=enclosed.verifier,
        anchors=_anchors(
            source, witnessed.checkpoint, [*found[names[TRAIL]], *found[names[DISCLOSURES]]]
        ),
    )
    data = made.encode()
    again = check_bundle(data, own, tools, case_id, enclosed.verifier)
    if again.findings:
        first = again.findings[0]
        message = f"the files changed while they were read ({first.check}); make the bundle again"
        raise Unavailable("TRAIL_CHANGED", message)
    return report, data


def _anchors(
    source: Source, checkpoint: Checkpoint, placed: Sequence[Placed]
) -> tuple[Anchor, ...]:
    """Return the first anchor over each of these entries, as far as there is one."""
    sizes = covering(anchored(source), [at for at, _ in placed], checkpoint.size)
    return tuple(anchors_of(source, sizes, checkpoint))


class _Making:
    def __init__(self, source: Source, checkpoint: Checkpoint, note: bytes, heads: HeadMap) -> None:
        self._size = checkpoint.size
        self._note = note
        self._nodes = source.nodes(checkpoint.size)
        self._heads = heads

    def proof(self, index: int) -> Proof:
        """Return the proof that an entry is in the log."""
        hashes = inclusion_proof(index, self._size, self._nodes)
        return Proof(index, tuple(hashes), self._note)

    def stream(self, stream: bytes, placed: Sequence[Placed], *, bodies: bool) -> Stream:
        """Return a whole stream with its proofs."""
        entries = tuple(
            Proven(item.entry.encode(), self.proof(at), item.body if bodies else None)
            for at, item in placed
        )
        return Stream(entries, self._heads.prove(stream_key(stream)))
