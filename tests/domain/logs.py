"""Logs made as a notary makes them, and remade as a dishonest one would."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.signing import Ed25519Signing
from domain.standing import Period
from domain.trail.admission import Signer
from domain.trail.deliveries import (
    DELIVERY_SCHEMA,
    RECEIPT_SCHEMA,
    Delivery,
    disclosure_body,
    receipt_body,
)
from domain.trail.entry import Entry, Epoch, read
from domain.trail.merkle import EMPTY_ROOT, leaf, root
from domain.trail.replay import Claim, Replay
from domain.trail.state import Item, State
from domain.trail.statement import (
    ZEROS,
    Kind,
    Statement,
    actor_id,
    digest,
    reader_id,
    signed_bytes,
)
from tests.vectors import key

SIGNING = Ed25519Signing()
CASE, OTHER = key("stream of a case"), key("stream of another case")
SHOWN, SHOWN_OTHER = key("disclosures of a case"), key("disclosures of another case")
T0 = 1_767_225_600_000

Leaf = tuple[bytes, bytes]
"""An entry's bytes and its body."""


@lru_cache
def private(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(key(name))


@lru_cache
def public(name: str) -> bytes:
    return private(name).public_key().public_bytes_raw()


def delivery(seq: int, agency: str = "charity", **changes: Any) -> Delivery:
    made = Delivery(agency, "protection_support", 3, seq, 0, 0, key("event"), "P02")
    return made._replace(**changes)


@dataclass
class Known:
    """A registry: agency -> label of its key."""

    agencies: Mapping[str, str] = field(
        default_factory=lambda: {"police": "police", "charity": "charity"}
    )
    period: Period = field(default_factory=lambda: Period(starts=0))
    learned: list[bytes] = field(default_factory=list)

    def signer(self, actor: bytes) -> Signer | None:
        for agency, label in self.agencies.items():
            for made, reads in ((actor_id, False), (reader_id, True)):
                if made(public(label)) == actor:
                    return Signer(public(label), agency, self.period, reads)
        return None

    def learn(self, item: Item) -> None:
        self.learned.append(item.digest)


class Log:
    """A log that grows; what it is told, it takes, so the test decides what is wrong with it."""

    def __init__(self) -> None:
        self.state = State()
        self.leaves: list[Leaf] = []
        self.seen = (0, EMPTY_ROOT)

    def put(
        self, who: str, kind: Kind, stream: bytes, body: bytes, code: str = "", **changes: Any
    ) -> bytes:
        """Sign and enter a statement; `changes` are made to it or to its entry. Its digest."""
        reads = kind in {Kind.RECEIPT, Kind.AUDIT}
        actor = (reader_id if reads else actor_id)(public(who))
        seq, prev = self.state.actor(actor)
        said = Statement(
            kind=kind,
            type=int(kind == Kind.ACTION),
            stream=stream,
            after=ZEROS,
            actor=actor,
            actor_seq=seq,
            actor_prev=prev,
            actor_time_ms=T0,
            schema=key("schema"),
            field_count=0,
            fields=EMPTY_ROOT,
            payload=sha256(body).digest(),
            seen_size=self.seen[0],
            seen_root=self.seen[1],
        )
        place = {
            n: changes.pop(n)
            for n in ("stream_seq", "stream_prev", "recorded_ms", "kept")
            if n in changes
        }
        statement = said._replace(**changes).encode()
        stream_seq, stream_prev = self.state.stream(stream)
        kept = place.pop("kept", b"" if code else body)
        entry = Entry(
            statement,
            stream_seq,
            stream_prev,
            T0 + 1000 * self.state.size,
            private(who).sign(signed_bytes(statement)),
            code,
        )._replace(**place)
        self.enter(entry.encode(), kept)
        return digest(statement)

    def enter(self, data: bytes, body: bytes) -> None:
        found = read(data)
        if isinstance(found, Epoch):
            self.state.close(leaf(data))
        else:
            self.state.add(Item(data, found, body))
        self.leaves.append((data, body))

    def act(self, who: str = "police", stream: bytes = CASE, **changes: Any) -> bytes:
        body = b"body %d" % self.state.size
        return self.put(who, Kind.ACTION, stream, body, **changes)

    def disclose(self, *deliveries: Delivery, stream: bytes = SHOWN, **changes: Any) -> bytes:
        body = disclosure_body(deliveries)
        leaves = [d.leaf for d in sorted(deliveries, key=lambda d: d.place)]
        stated: dict[str, Any] = {
            "schema": DELIVERY_SCHEMA,
            "field_count": len(leaves),
            "fields": root(leaves),
        }
        who = changes.pop("who", "notary")
        return self.put(who, Kind.DISCLOSURE, stream, body, **stated | changes)

    def receive(self, after: bytes, *deliveries: Delivery, **changes: Any) -> bytes:
        leaves = [d.leaf for d in deliveries]
        stated: dict[str, Any] = {
            "after": after,
            "schema": RECEIPT_SCHEMA,
            "field_count": len(leaves),
            "fields": root(leaves),
        }
        who, stream = changes.pop("who", "charity"), changes.pop("stream", SHOWN)
        return self.put(who, Kind.RECEIPT, stream, receipt_body(leaves), **stated | changes)

    def challenge(self, nonce: bytes = bytes(32), **changes: Any) -> bytes:
        return self.put("police", Kind.AUDIT, SHOWN, nonce, **changes)

    def close(self, **changes: Any) -> "Log":
        """Enter an EPOCH; what is signed later has seen the checkpoint that it ends."""
        self.enter(self.state.epoch()._replace(**changes).encode(), b"")
        self.seen = self.state.size, self.state.range.root
        return self


def example() -> Log:
    """Return a log in which everything happens that may."""
    log = Log()
    log.act("police")
    log.act("charity", OTHER)
    log.act("charity", code="CONSENT_MISSING")
    log.act("charity")
    log.close()
    log.disclose(delivery(1), delivery(3, supersedes=1))
    shown = log.disclose(delivery(2), delivery(1, agency="police"), stream=SHOWN_OTHER)
    log.act("police", OTHER)
    log.close()
    log.receive(shown, delivery(2), stream=SHOWN_OTHER)
    log.challenge()
    return log.close()


def rebuilt(leaves: Sequence[Leaf], *, renumber: bool = False) -> list[Leaf]:
    """Return `leaves` with EPOCHs made honestly over them; also the places in streams, if asked."""
    log = Log()
    for data, body in leaves:
        found = read(data)
        if isinstance(found, Epoch):
            log.close()
            continue
        if renumber:
            stream_seq, stream_prev = log.state.stream(found.said.stream)
            found = found._replace(stream_seq=stream_seq, stream_prev=stream_prev)
        log.enter(found.encode(), body)
    return log.leaves


def replayed(leaves: Sequence[Leaf], **changes: Any) -> tuple[Replay, list[Claim]]:
    """Return the replay of a whole log and the signatures that it asks for."""
    known: dict[str, Any] = {"keys": Known(), "notary": public("notary")}
    replay = Replay(**known | changes)
    claims = [claim for data, body in leaves if (claim := replay.take(data, body))]
    replay.finish()
    return replay, claims


def found(leaves: Sequence[Leaf], **changes: Any) -> set[tuple[int, str]]:
    """Return index and check of everything that a replay finds, signatures included."""
    replay, _ = replayed(leaves, **changes)
    return {(f.index, f.check) for f in (*replay.findings, *replay.alarms)}


def passes(leaves: Sequence[Leaf]) -> bool:
    """Say whether nothing at all is found, with every signature verified."""
    replay, claims = replayed(leaves)
    return not (replay.findings or replay.alarms) and all(SIGNING.verify_all(claims))
