"""`audit verify-bundle`: a bundle of evidence, checked offline under whom the auditor trusts."""

from collections.abc import Mapping, Sequence
from itertools import chain

from domain.errors import HubError, Malformed
from domain.trail.bundle import REGISTRY, STREAMS, Bundle, Stream, streams_of
from domain.trail.entry import Entry, Epoch
from domain.trail.merkle import check_inclusion, leaf
from domain.trail.proof import Proof
from domain.trail.quorum import Witnessed
from domain.trail.replay import Claim
from domain.trail.state import Item
from domain.trail.statement import Kind, signed_bytes
from services.auditor.anchors import check_bundled
from services.auditor.clocks import check_clocks
from services.auditor.opening import Own, Tools, Trusted, opened
from services.auditor.report import Report
from services.auditor.streams import Placed, Whole, check_body, check_whole, row_of, signer_of


def check_bundle(data: bytes, own: Own, tools: Tools, name: str, verifier: bytes) -> Report:
    """Return what holds of a bundle and what does not.

    `verifier` is the verify.py that this version puts into bundles. `Malformed` when `data` is
    no bundle.
    """
    report = Report(f"the bundle {name}")
    try:
        found = Bundle.decode(data)
    except Malformed:
        raise
    except HubError as e:
        report.find("MANIFEST", e.message)
        return report
    report.subject = f"case {found.case_id} in the bundle {name}"
    if found.verifier != verifier:
        report.notes.append("verify.py in it is not the one of this version; do not run it unread")
    trusted = own.of(found.policy, found.trust, report)
    witnessed = opened(found.checkpoint, trusted.policy, tools, report)
    if witnessed is not None:
        _Checking(found, witnessed, trusted, tools, report).go()
    return report


class _Checking:
    def __init__(
        self,
        bundle: Bundle,
        witnessed: Witnessed,
        trusted: Trusted,
        tools: Tools,
        report: Report,
    ) -> None:
        self._bundle = bundle
        self._witnessed = witnessed
        self._checkpoint = witnessed.checkpoint
        self._policy = trusted.policy
        self._notary = trusted.trust.notary
        self._keys = tools.keys(trusted.trust)
        self._tools = tools
        self._report = report

    def go(self) -> None:
        epoch = self._epoch()
        placed = {name: self._placed(name, self._bundle.streams[name]) for name in STREAMS}
        if epoch is not None:
            check_clocks(self._witnessed, self._policy, epoch.recorded_ms, self._report)
            for name, stream in streams_of(self._bundle.case_id).items():
                whole = Whole(stream, epoch.covered, epoch.recorded_ms, epoch.map_root)
                head = self._bundle.streams[name].head
                check_whole(name, placed[name], head, whole, self._report)
        found = len(self._report.findings)
        for at, item in chain.from_iterable(placed.values()):
            check_body(at, item, self._report)
        if len(self._report.findings) == found:
            self._report.holds("BODIES", "every body in it is the one that was signed")
        self._sign(placed)
        times = [(p.at, p.item.entry.recorded_ms) for p in chain.from_iterable(placed.values())]

        def newest_ms(size: int) -> int:
            return max((ms for at, ms in times if at < size), default=0)

        anchors, stamps = self._bundle.anchors, self._tools.stamps
        check_bundled(anchors, self._checkpoint, stamps, newest_ms, self._report)

    def _epoch(self) -> Epoch | None:
        """Return the EPOCH if it is the log's last entry."""
        data, last = self._bundle.epoch, self._checkpoint.size - 1
        found = len(self._report.findings)
        self._proven("epoch.entry", data, self._bundle.epoch_proof)
        try:
            epoch = Epoch.decode(data)
        except Malformed as e:
            self._report.find("EPOCH", e.message, last)
            return None
        if (self._bundle.epoch_proof.index, epoch.covered) != (last, last):
            self._report.find("EPOCH", "it is not the last entry of the log", last)
        return epoch if len(self._report.findings) == found else None

    def _placed(self, name: str, stream: Stream) -> list[Placed]:
        """Return the entries that can be read, each proven to be in the log or told of."""
        placed, found = [], len(self._report.findings)
        for number, (data, proof, body) in enumerate(stream.entries):
            place = f"{name}/{number:06}"
            self._proven(place, data, proof)
            try:
                placed.append(Placed(proof.index, Item(data, Entry.decode(data), body)))
            except Malformed as e:
                self._report.find("ENTRY", f"{place}.entry: {e.message}", proof.index)
        if len(self._report.findings) == found:
            self._report.holds("INCLUSION", f"all {len(placed)} entries of {name} are in the log")
        return placed

    def _proven(self, place: str, data: bytes, proof: Proof) -> None:
        _, size, root = self._checkpoint
        if proof.checkpoint != self._bundle.checkpoint:
            self._report.find("PROOF", f"{place}.tlog-proof is under another checkpoint")
        try:
            check_inclusion(leaf(data), proof.index, size, proof.hashes, root)
        except HubError as e:
            self._report.find("INCLUSION", f"{place}: {e.message}", proof.index)

    def _sign(self, placed: Mapping[str, Sequence[Placed]]) -> None:
        """Follow the log: registry facts teach keys, and every entry is signed by one in force."""
        found = len(self._report.findings)
        streams = ((name, at, item) for name in STREAMS for at, item in placed[name])
        claims: list[tuple[int, Claim]] = []
        for name, at, item in sorted(streams, key=lambda s: s[1]):
            signer = signer_of(item, self._keys, self._notary)
            if isinstance(signer, str):
                self._report.find("SIGNER", signer, at)
                continue
            said = signed_bytes(item.entry.statement)
            claims.append((at, Claim(signer.public, said, item.entry.signature)))
            if name == REGISTRY:
                self._learn(at, item)
            else:
                event = self._tools.type_name(item.said.type)
                self._report.rows.append(row_of(at, item, signer.agency, event))
        held = self._tools.pool.submit([claim for _, claim in claims])()
        for (at, _), holds in zip(claims, held, strict=True):
            if not holds:
                why = "the signature does not hold under the key of its actor"
                self._report.find("SIGNATURE", why, at)
        if len(self._report.findings) == found:
            self._report.holds("SIGNATURE", f"{len(claims)} signatures, under registered keys")

    def _learn(self, at: int, item: Item) -> None:
        if item.said.kind != Kind.ACTION or item.entry.code:
            return
        try:
            self._keys.learn(item)
        except HubError as e:
            self._report.find("REGISTRY", e.message, at)
