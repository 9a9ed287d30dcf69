"""One stream, whole: gapless, in its order, and as long as the map of heads has it."""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from domain.errors import HubError
from domain.standing import Period
from domain.trail.admission import Signer
from domain.trail.heads import Head, MapProof, stream_key
from domain.trail.merkle import EMPTY_ROOT, root
from domain.trail.replay import Keys
from domain.trail.state import Item
from domain.trail.statement import ZEROS, Kind, actor_id
from services.auditor.report import Report, Row

_READING = frozenset({Kind.RECEIPT, Kind.AUDIT})
_LISTING = frozenset({Kind.DISCLOSURE, Kind.RECEIPT})
_NONCE = 32


class Placed(NamedTuple):
    """An entry and its place in the log."""

    at: int
    item: Item


class Whole(NamedTuple):
    """What a stream must fit into."""

    stream: bytes
    last: int
    """Index of the EPOCH that closes the log."""
    recorded_ms: int
    """The newest time in the log."""
    map_root: bytes


def check_whole(
    name: str, placed: Sequence[Placed], head: MapProof, whole: Whole, report: Report
) -> None:
    """Report whether these are all entries of the stream, each after the one before."""
    before, index, time = ZEROS, -1, 0
    found = len(report.findings)
    for number, (at, item) in enumerate(placed):
        entry = item.entry
        if item.said.stream != whole.stream:
            report.find("STREAM", f"it is of another stream than {name}", at)
        if (entry.stream_seq, entry.stream_prev) != (number, before):
            message = f"it is not number {number} of {name} after the one before: one is missing"
            report.find("STREAM_CHAIN", message, at)
        if not index < at < whole.last:
            report.find("ORDER", f"it does not stand after the one before in {name}", at)
        if not time <= entry.recorded_ms <= whole.recorded_ms:
            report.find("BACKDATED", f"its time is before the one before in {name}", at)
        before, index, time = item.leaf, at, entry.recorded_ms
    due = Head(len(placed), before, index) if placed else None
    if head.key != stream_key(whole.stream) or head.head != due:
        message = f"the map has another end of {name} than these {len(placed)} entries"
        report.find("COMPLETENESS", message)
    try:
        head.check(whole.map_root)
    except HubError as e:
        report.find("COMPLETENESS", f"the proof of the end of {name} does not hold: {e}")
    if len(report.findings) == found:
        ends = f", the last is entry {index}" if placed else ""
        report.holds("COMPLETENESS", f"{name} is whole: {len(placed)} entries{ends}")


def check_body(at: int, item: Item, report: Report) -> None:
    """Report whether a body is what was signed; a refused action has none."""
    said, body = item.said, item.body
    if body is None:
        return
    if item.entry.code:
        if body:
            report.find("BODY", "a refused action has no body", at)
        return
    if sha256(body).digest() != said.payload:
        report.find("BODY", "the body is not the one that was signed", at)
    elif said.kind in _LISTING and (
        not item.leaves or (said.field_count, said.fields) != (len(item.leaves), root(item.leaves))
    ):
        report.find("BODY", item.fault or "the body lists other deliveries than were signed", at)
    elif said.kind == Kind.AUDIT and (said.field_count, said.fields, len(body)) != (
        0,
        EMPTY_ROOT,
        _NONCE,
    ):
        report.find("BODY", "it is no challenge", at)


def signer_of(item: Item, keys: Keys, notary: bytes) -> Signer | str:
    """Return whose signature the entry must carry, or why nobody's counts.

    `notary` is its pinned public key.
    """
    said, entry = item.said, item.entry
    if said.kind == Kind.DISCLOSURE:
        own = said.actor == actor_id(notary)
        signer = Signer(notary, "", Period(starts=0)) if own else None
    else:
        signer = keys.signer(said.actor)
    if signer is None:
        return "no key that the registry knows stands behind its actor"
    if signer.reads != (said.kind in _READING):
        return f"kind {said.kind} is not for this actor"
    if not entry.code and not signer.signs(item):
        return "its key was not in force when it counts"
    return signer


def row_of(at: int, item: Item, agency: str, event_type: str) -> Row:
    """Return an entry as people read it."""
    said, entry = item.said, item.entry
    kind = Kind(said.kind).name
    event = event_type if said.kind == Kind.ACTION else ""
    return Row(entry.recorded_ms, at, kind, event, agency or "the notary", entry.code)
