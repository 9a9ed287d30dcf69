"""`audit bundle`: what proves one case's trail whole, taken out of a log that was checked."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from domain.errors import Refused, Unavailable
from domain.trail.anchors import Anchor, covering
from domain.trail.bundle import DISCLOSURES, REGISTRY, TRAIL, Bundle, Proven, Stream, streams_of
from domain.trail.checkpoint import Checkpoint
from domain.trail.heads import HeadMap, stream_key
from domain.trail.merkle import inclusion_proof
from domain.trail.proof import Proof
from services.auditor.anchors import anchored, anchors_of
from services.auditor.case import Scan, case_id_of
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
    case_id = case_id_of(case_id)
    report = Report(f"case {case_id} in the log in {source.name}")
    trusted, note = own_or_its(source, own, report), source.text("checkpoint")
    witnessed = opened(note, trusted.policy, tools, report)
    if witnessed is None:
        return report, b""
    scan, names = Scan(source, witnessed, trusted, tools), streams_of(case_id)
    found = scan.go(list(names.values()), report)
    if report.findings:
        return report, b""
    if not found[names[TRAIL]]:
        raise Refused("NO_SUCH_CASE", "the log has no entry of this case, and its map says so")
    taking = _Taking(source, witnessed.checkpoint, note, scan.replay.state.heads)
    data = taking.bundle(case_id, found, own, enclosed, bodies=bodies).encode()
    _check_again(data, own, tools, case_id, enclosed)
    return report, data


def _check_again(data: bytes, own: Own, tools: Tools, case_id: str, enclosed: Enclosed) -> None:
    """Raise `Unavailable` TRAIL_CHANGED unless what was taken out of the log holds by itself."""
    again = check_bundle(data, own, tools, case_id, enclosed.verifier)
    if again.findings:
        first = again.findings[0]
        message = f"the files changed while they were read ({first.check}); make the bundle again"
        raise Unavailable("TRAIL_CHANGED", message)


class _Taking:
    """Takes evidence out of a log that was checked."""

    def __init__(self, source: Source, checkpoint: Checkpoint, note: bytes, heads: HeadMap) -> None:
        self._source = source
        self._checkpoint = checkpoint
        self._note = note
        self._nodes = source.nodes(checkpoint.size)
        self._heads = heads

    def bundle(
        self,
        case_id: str,
        found: Mapping[bytes, Sequence[Placed]],
        own: Own,
        enclosed: Enclosed,
        *,
        bodies: bool,
    ) -> Bundle:
        """Return the bundle of a case, of whose streams everything was `found`."""
        size, names = self._checkpoint.size, streams_of(case_id)
        of_case = [*found[names[TRAIL]], *found[names[DISCLOSURES]]]
        streams = {
            name: self._stream(tag, found[tag], bodies=bodies or name == REGISTRY)
            for name, tag in names.items()
        }
        return Bundle(
            case_id=case_id,
            policy=self._source.text("policy") if own.policy is None else own.policy,
            trust=self._source.text("trust.json") if own.trust is None else own.trust,
            checkpoint=self._note,
            epoch=self._source.entry(size - 1, size),
            epoch_proof=self._proof(size - 1),
            streams=MappingProxyType(streams),
            readme=enclosed.readme,
            verifier=enclosed.verifier,
            anchors=self._anchors([at for at, _ in of_case]),
        )

    def _stream(self, stream: bytes, placed: Sequence[Placed], *, bodies: bool) -> Stream:
        """Return a whole stream with its proofs."""
        entries = tuple(
            Proven(item.entry.encode(), self._proof(at), item.body if bodies else None)
            for at, item in placed
        )
        return Stream(entries, self._heads.prove(stream_key(stream)))

    def _proof(self, index: int) -> Proof:
        """Return the proof that an entry is in the log."""
        hashes = inclusion_proof(index, self._checkpoint.size, self._nodes)
        return Proof(index, tuple(hashes), self._note)

    def _anchors(self, indexes: Sequence[int]) -> tuple[Anchor, ...]:
        """Return the first anchor over each of these entries, as far as there is one."""
        sizes = covering(anchored(self._source), indexes, self._checkpoint.size)
        return tuple(anchors_of(self._source, sizes, self._checkpoint))
