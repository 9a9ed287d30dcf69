"""`audit proof`: one entry and the proof that it is in the log, two files that stand alone.

No log is read, so no registry is known: whose key an actor has is said only where the auditor's
own pins prove it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from domain.errors import HubError, Malformed
from domain.trail.admission import Signer
from domain.trail.entry import Entry, Epoch, read
from domain.trail.merkle import check_inclusion, leaf
from domain.trail.proof import Proof
from domain.trail.quorum import Policy
from domain.trail.replay import REGISTRY, Claim
from domain.trail.state import Item
from domain.trail.statement import Kind, digest, signed_bytes
from services.auditor.clocks import check_clocks
from services.auditor.instants import shown
from services.auditor.opening import Own, Tools, opened
from services.auditor.report import Report
from services.auditor.streams import signer_of
from services.trust import Trust

OPERATOR, NOTARY = "operator", "notary"
_WORDS = {
    Kind.ACTION: "an action of an agency",
    Kind.DISCLOSURE: "what the notary says was disclosed to seats",
    Kind.RECEIPT: "what a reader confirms that it took",
    Kind.AUDIT: "a challenge",
    Kind.EPOCH: "the map of heads, which ends a checkpoint",
}


@dataclass(slots=True)
class Proven(Report):
    """What the entry is, once it is proven, and how far that can be relied on."""

    as_of: str = "the witnesses saw this checkpoint at:"
    index: int | None = None
    """Place in the log, from 0; None, as the rest, if the proof does not hold."""
    entry: Entry | Epoch | None = None
    event_type: str = ""
    """Full name; empty if the published schemas have none."""
    signed_by: str = ""
    """Which pinned key signed it, `OPERATOR` or `NOTARY`; empty where the pins do not tell."""

    def text(self) -> str:
        """Return what the entry is and the report, for people."""
        said = list(_lines(self, self.entry)) if self.entry else []
        lines = [f"  {name:10}{words}" for name, words in said]
        heading = [f"Entry {self.index} of the log:"] if said else []
        return "\n".join([*heading, *lines, Report.text(self)])

    def json(self) -> str:
        """Return the same as one line of JSON."""
        entry = _document(self, self.entry) if self.entry else None
        return json.dumps(json.loads(Report.json(self)) | {"entry": entry}, ensure_ascii=False)


def proof(data: bytes, entry: bytes, own: Own, tools: Tools, name: str) -> Proven:
    """Return whether the proof in `data` shows `entry` in the log, and what that entry is.

    `Malformed` POLICY, TRUST, PROOF, NOTE or CHECKPOINT for a file that is none.
    """
    report = Proven(f"the proof of {name}")
    policy, trust = _trusted(own, report)
    shows = Proof.decode(data)
    witnessed = opened(shows.checkpoint, policy, tools, report)
    if witnessed is None:
        return report
    _, size, root = witnessed.checkpoint
    try:
        check_inclusion(leaf(entry), shows.index, size, shows.hashes, root)
    except HubError:
        message = (
            f"these bytes are not it, of {size}: one of the two files is another or was changed"
        )
        report.find("INCLUSION", message, shows.index)
        return report
    report.holds("INCLUSION", f"these {len(entry)} bytes are entry {shows.index}, of {size}")
    try:
        report.entry, report.index = read(entry), shows.index
    except Malformed as e:
        report.find("ENTRY", e.message, shows.index)
        return report
    check_clocks(witnessed, policy, report.entry.recorded_ms, report, shows.index)
    if isinstance(report.entry, Entry):
        report.event_type = tools.type_name(report.entry.said.type)
        _check_signer(Item(entry, report.entry, None), trust, tools, report)
    return report


def _trusted(own: Own, report: Report) -> tuple[Policy, Trust | None]:
    if own.policy is None:
        raise Malformed("POLICY", "a proof carries none: say --policy with your own copy")
    if own.trust is None:
        return Policy.parse(own.policy), None
    trusted = own.of(own.policy, own.trust, report)
    return trusted.policy, trusted.trust


def _check_signer(item: Item, trust: Trust | None, tools: Tools, report: Proven) -> None:
    """Verify the signature where the pins say whose it must be, and say so where they do not."""
    signer = _pinned(item, trust, tools)
    if signer is None:
        report.notes.append(
            "that its actor signed it, and whose key that is, these files do not prove: the"
            " registry in the log does (`audit case`), and --trust for operator and notary"
        )
        return
    if isinstance(signer, str):
        report.find("SIGNER", signer, report.index)
        return
    claim = Claim(signer.public, signed_bytes(item.entry.statement), item.entry.signature)
    if not tools.pool.submit([claim])()[0]:
        message = "the signature does not hold under the key of its actor"
        report.find("SIGNATURE", message, report.index)
        return
    report.signed_by = OPERATOR if signer.agency else NOTARY
    report.holds("SIGNATURE", f"by the pinned key of the {report.signed_by}")


def _pinned(item: Item, trust: Trust | None, tools: Tools) -> Signer | str | None:
    """Return who must have signed, or why nobody may; None where the pins say neither."""
    if trust is None:
        return None
    keys = tools.keys(trust)
    if item.said.kind != Kind.DISCLOSURE and keys.signer(item.said.actor) is None:
        return None
    return signer_of(item, keys, trust.notary)


def _lines(report: Proven, entry: Entry | Epoch) -> Iterator[tuple[str, str]]:
    """Yield what the entry is: name and words."""
    if isinstance(entry, Epoch):
        yield "kind", _WORDS[Kind.EPOCH]
        yield "covers", f"{entry.covered} entries; {entry.map_keys} keys, {entry.map_root.hex()}"
        yield "recorded", f"{shown(entry.recorded_ms)}: the newest entry before it"
        return
    said = entry.said
    event = f": {report.event_type.rpartition('.')[2]}" if report.event_type else ""
    stream = " (the registry)" if said.stream == REGISTRY else ""
    yield "kind", f"{_WORDS[Kind(said.kind)]}{event}"
    yield "stream", f"{said.stream.hex()}{stream}, number {entry.stream_seq} in it"
    by = f" (the {report.signed_by})" if report.signed_by else ""
    yield "actor", f"{said.actor.hex()}{by}, its number {said.actor_seq}"
    yield "signed", f"{shown(said.actor_time_ms)} by the actor's clock"
    yield "recorded", f"{shown(entry.recorded_ms)} by the hub's clock"
    yield "outcome", f"refused: {entry.code}" if entry.code else "accepted"


def _document(report: Proven, entry: Entry | Epoch) -> dict[str, Any]:
    """Return what the entry is, for a program."""
    if isinstance(entry, Epoch):
        found = entry._asdict() | {"map_root": entry.map_root.hex()}
        return {"index": report.index, "kind": Kind.EPOCH.name, **found}
    said = entry.said
    return {
        "index": report.index,
        "kind": Kind(said.kind).name,
        "event_type": report.event_type,
        "stream": said.stream.hex(),
        "stream_seq": entry.stream_seq,
        "actor": said.actor.hex(),
        "actor_seq": said.actor_seq,
        "signed_by": report.signed_by,
        "signed_ms": said.actor_time_ms,
        "recorded_ms": entry.recorded_ms,
        "refused": entry.code,
        "statement": digest(entry.statement).hex(),
    }
