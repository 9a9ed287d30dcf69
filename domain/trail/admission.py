"""Whether a leaf may come next in the log: every rule that needs no signature.

Asked by the notary before it takes an entry, and again by everybody who replays the log
(reference audit 4.4). Each answer is a `Problem`; none means that the leaf may stand there.
Signatures are checked in bulk by the caller, what the rules of a case say by the auditor.
"""

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import NamedTuple, Self

from domain.standing import Key, Period
from domain.trail.delivered import Feed
from domain.trail.deliveries import DELIVERY_SCHEMA, RECEIPT_SCHEMA
from domain.trail.entry import Epoch
from domain.trail.merkle import EMPTY_ROOT, root
from domain.trail.state import Item, State
from domain.trail.statement import ZEROS, Kind

NONCE_SIZE = 32
SEEN = "SEEN"
"""The check that no log can answer for: its actor alone says what it was shown."""
CLOCK_AHEAD_MS = 600_000
"""How far the clock of an actor may run ahead of the hub's."""
WAIT_MS = 86_400_000
"""How long a reader's statement may be on its way: a notary may be away for a night."""
_DISCLOSURE = int(Kind.DISCLOSURE)
"""A plain int compares in half the time, and every entry is asked."""
_READING = frozenset({Kind.RECEIPT, Kind.AUDIT})
"""Kinds of a reader's chain."""
_WITH_BODY = frozenset({Kind.DISCLOSURE, Kind.RECEIPT, Kind.AUDIT})
"""Kinds that cannot be checked without their body."""


class Problem(NamedTuple):
    """Why a leaf may not stand there."""

    check: str
    """Code of the rule that fails."""
    message: str


class Signer(NamedTuple):
    """Whose key it is that stands behind an actor."""

    public: bytes
    """Ed25519 public key."""
    agency: str
    """Empty for the notary."""
    period: Period
    """When the key is in force."""
    reads: bool = False
    """Whether the actor is the key's `reader_id`: receipts and challenges, nothing else."""

    @classmethod
    def of(cls, key: Key, *, reads: bool = False) -> Self:
        """Return the signer with a `key` of the registry."""
        return cls(key.signing_key, key.agency, key.period, reads)

    def signs(self, item: Item) -> bool:
        """Return whether the key was in force for this entry.

        An action counts when the hub records it. What a reader signs waits for its turn and
        gets the log's own time, before or after; it counts when it was signed, for a day.
        """
        recorded_ms, signed_ms = item.entry.recorded_ms, item.said.actor_time_ms
        if not self.reads:
            return self.period.holds(recorded_ms)
        return self.period.holds(signed_ms) and recorded_ms <= signed_ms + WAIT_MS


def problems(state: State, item: Item, signer: Signer | None, notary: bytes) -> list[Problem]:
    """Return what is wrong with an entry as the next leaf.

    `signer` is what the registry knows of its actor then; `notary` is the notary's actor.
    """
    entry, said = item.entry, item.said
    found = []
    due = state.stream(said.stream)
    if (entry.stream_seq, entry.stream_prev) != due:
        found.append(_chain("STREAM_CHAIN", "stream", entry.stream_seq, due))
    due = state.actor(said.actor)
    if (said.actor_seq, said.actor_prev) != due:
        found.append(_chain("ACTOR_CHAIN", "actor", said.actor_seq, due))
    if entry.recorded_ms < state.recorded_ms:
        found.append(Problem("BACKDATED", f"recorded before {state.recorded_ms}"))
    if signer is None:
        found.append(Problem("ACTOR_UNKNOWN", "no registered key stands behind the actor"))
    elif signer.reads != (said.kind in _READING) or (
        (said.actor == notary) != (said.kind == _DISCLOSURE)
    ):
        found.append(Problem("ACTOR_KIND", f"kind {said.kind} is not for this actor"))
    if not _body_fits(item):
        found.append(Problem("BODY", "the body is not the one that was signed"))
    if state.checkpoint(said.seen_size) != said.seen_root:
        found.append(Problem(SEEN, f"no checkpoint of size {said.seen_size} has the root seen"))
    elif said.seen_size < state.seen(said.actor):
        found.append(Problem(SEEN, f"the actor had seen size {state.seen(said.actor)} before"))
    if entry.code:
        if said.kind == _DISCLOSURE:
            found.append(Problem("DISCLOSURE", "what was disclosed cannot be refused"))
        return found
    if signer is not None and not signer.signs(item):
        found.append(Problem("KEY_NOT_IN_FORCE", "its key was not in force when it counts"))
    rule = _RULES.get(said.kind, _action)
    found.extend(rule(state, item, signer))
    return found


def epoch_problems(state: State, epoch: Epoch, body: bytes | None) -> Iterator[Problem]:
    """Yield what is wrong with an EPOCH as the next leaf, but for the map."""
    if body:
        yield Problem("BODY", "an EPOCH has no body")
    if epoch.covered != state.size:
        yield Problem("EPOCH", f"it covers {epoch.covered} leaves, not the {state.size} before it")
    if epoch.recorded_ms != state.recorded_ms:
        yield Problem("EPOCH", f"it is of {epoch.recorded_ms}, not of {state.recorded_ms}")
    for feed, seq in state.delivered.gaps():
        yield Problem("FEED", f"number {seq} of {feed} was not disclosed")


def map_problems(state: State, epoch: Epoch) -> Iterator[Problem]:
    """Yield what is wrong with the map of an EPOCH as the next leaf."""
    if epoch.map_keys != len(state.heads):
        yield Problem("MAP", f"the map has {len(state.heads)} keys, not {epoch.map_keys}")
    if epoch.map_root != state.heads.root():
        yield Problem("MAP", "the map of heads has another root")


def _chain(check: str, what: str, seq: int, due: tuple[int, bytes]) -> Problem:
    if seq == due[0]:
        return Problem(check, f"number {seq} of its {what} does not follow the one before")
    return Problem(check, f"number {seq} of its {what}, where {due[0]} is due")


def _body_fits(item: Item) -> bool:
    if item.body is None:
        return item.said.kind not in _WITH_BODY or bool(item.entry.code)
    if item.entry.code or not item.body:
        return bool(item.entry.code) and not item.body
    return sha256(item.body).digest() == item.said.payload


def _action(state: State, item: Item, signer: Signer | None) -> Iterator[Problem]:
    if item.said.actor_time_ms > item.entry.recorded_ms + CLOCK_AHEAD_MS:
        yield Problem("BACKDATED", "recorded before it was signed")


def _disclosure(state: State, item: Item, signer: Signer | None) -> Iterator[Problem]:
    said = item.said
    if (said.type, said.after, said.schema) != (0, ZEROS, DELIVERY_SCHEMA):
        yield Problem("DISCLOSURE", "it is not signed as a list of deliveries")
    yield from _listed("DISCLOSURE", item)
    for d in item.deliveries:
        if state.delivered.has(d):
            feed = Feed(d.agency, d.purpose, d.lane)
            yield Problem("FEED", f"number {d.seq} of {feed} was disclosed before")


def _receipt(state: State, item: Item, signer: Signer | None) -> Iterator[Problem]:
    if item.said.schema != RECEIPT_SCHEMA:
        yield Problem("RECEIPT", "it is not signed as a receipt")
    yield from _listed("RECEIPT", item)
    if signer is None or not item.leaves:
        return
    answered = state.delivered.newest(item.said.stream, signer.agency, item.leaves)
    if answered is None:
        yield Problem("RECEIPT", "it confirms what was not delivered to its agency in this case")
    elif answered != item.said.after:
        yield Problem("RECEIPT", "it does not name the newest DISCLOSURE that it answers")


def _challenge(state: State, item: Item, signer: Signer | None) -> Iterator[Problem]:
    if (item.said.field_count, item.said.fields) != (0, EMPTY_ROOT):
        yield Problem("AUDIT", "a challenge has no fields")
    if item.body and len(item.body) != NONCE_SIZE:
        yield Problem("AUDIT", f"a challenge is {NONCE_SIZE} bytes, not {len(item.body)}")


def _listed(check: str, item: Item) -> Iterator[Problem]:
    if item.fault:
        yield Problem(check, item.fault)
    elif (item.said.field_count, item.said.fields) != (len(item.leaves), root(item.leaves)):
        yield Problem(check, "the body lists other deliveries than were signed")


_RULES: Mapping[int, Callable[[State, Item, Signer | None], Iterator[Problem]]] = {
    Kind.DISCLOSURE: _disclosure,
    Kind.RECEIPT: _receipt,
    Kind.AUDIT: _challenge,
}
