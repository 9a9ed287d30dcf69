"""A trail whose every entry is truly signed: registry facts, actions, disclosures, receipts.

It is written to a folder as the notary does. What a test wants wrong, it changes before signing.
"""

from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from adapters.signing import Ed25519Signing
from domain import events as ev
from domain.approval import approval_message
from domain.trail.checkpoint import Checkpoint, sign
from domain.trail.deliveries import (
    DELIVERY_SCHEMA,
    RECEIPT_SCHEMA,
    Delivery,
    disclosure_body,
    receipt_body,
)
from domain.trail.entry import Entry
from domain.trail.merkle import EMPTY_ROOT, consistency_proof, leaf, root
from domain.trail.notes import Note
from domain.trail.state import Item, State
from domain.trail.statement import (
    ZEROS,
    Kind,
    Statement,
    actor_id,
    digest,
    disclosure_stream,
    reader_id,
    signed_bytes,
    stream_tag,
)
from domain.trail.tiles import WIDTH, Edge, body_path, encode_bodies, encode_entries, entries_path
from schemas import wire
from schemas.language import AvroLanguage
from schemas.layout import layout
from tests import agencies as a
from tests.builders import uid
from tests.vectors import key
from tests.witnessed import Log

LANGUAGE = AvroLanguage()
SIGNING = Ed25519Signing()
REGISTRARS = ("registrar-a", "registrar-b")
OPERATOR, NOTARY = a.COORDINATOR, "notary"
CASE = uid("case")


def public(label: str) -> bytes:
    return SIGNING.public_key(key(label))


class SignedTrail:
    """Entries with their bodies, in order, and the state after them."""

    def __init__(self, log: Log | None = None) -> None:
        self.log = log or Log()
        self.state = State()
        self.leaves: list[tuple[bytes, bytes]] = []
        """(entry, body) each."""
        self.recorded_ms = a.REGISTERED
        self._seen = 0, EMPTY_ROOT
        self._edge = Edge()
        self._written = 0

    def add(
        self,
        label: str,
        kind: Kind = Kind.ACTION,
        *,
        body: bytes,
        case_id: str = CASE,
        code: str = "",
        signed_by: str = "",
        **fields: Any,
    ) -> bytes:
        """Add an entry of an actor; return the digest of its statement.

        `fields` are parts of the statement in the place of true ones.
        """
        reads = kind in {Kind.RECEIPT, Kind.AUDIT}
        actor = (reader_id if reads else actor_id)(public(label))
        stream = (stream_tag if kind == Kind.ACTION else disclosure_stream)(case_id)
        actor_seq, actor_prev = self.state.actor(actor)
        said = Statement(
            kind=kind,
            type=0,
            stream=stream,
            after=ZEROS,
            actor=actor,
            actor_seq=actor_seq,
            actor_prev=actor_prev,
            actor_time_ms=self.recorded_ms,
            schema=key("schema"),
            field_count=0,
            fields=EMPTY_ROOT,
            payload=sha256(body).digest(),
            seen_size=self._seen[0],
            seen_root=self._seen[1],
        )
        statement = said._replace(**fields).encode()
        stream_seq, stream_prev = self.state.stream(stream)
        signature = SIGNING.sign(key(signed_by or label), signed_bytes(statement))
        self.recorded_ms += 1
        entry = Entry(statement, stream_seq, stream_prev, self.recorded_ms, signature, code)
        data = entry.encode()
        kept = b"" if code else body
        self.leaves.append((data, kept))
        self.state.add(Item(data, entry, kept))
        return digest(statement)

    def fact(self, event: ev.RegistryEvent, by: tuple[str, ...] = REGISTRARS) -> None:
        """Add a registry fact that the registrars `by` approved."""
        head = replace(event.head, event_id=uid(f"fact {len(self.leaves)}"))
        event = replace(event, head=head)
        message = approval_message(event)
        approvals = tuple(
            ev.Approval(registrar=r, signature=SIGNING.sign(key(r), message)) for r in by
        )
        event = replace(event, approvals=approvals)
        form = layout(LANGUAGE.newest(type(event).__name__))
        body = b"".join(wire.write(form.coders, asdict(event)))
        self.add(OPERATOR, body=body, case_id=ev.REGISTRY_STREAM, type=form.shape.number)

    def agency(self, label: str) -> None:
        """Register an agency whose key is made from its label."""
        for event in a.facts(label):
            if isinstance(event, ev.AgencyKeyPublished):
                event = replace(event, signing_key=public(label))  # noqa: PLW2901 - the real key
            self.fact(event)

    def rotate(self, label: str, signed_by: str = "") -> str:
        """Give an agency a new key, signed by the old one; return the label of the new one."""
        published = next(f for f in a.facts(label) if isinstance(f, ev.AgencyKeyPublished))
        new = f"{label}'s new key"
        event = replace(
            published,
            head=replace(published.head, event_id=uid(f"fact {self.size}")),
            signing_key=public(new),
            previous=digest(public(label)),
        )
        signature = SIGNING.sign(key(signed_by or label), approval_message(event))
        self.fact(replace(event, previous_signature=signature))
        return new

    def disclose(self, *deliveries: Delivery, **more: Any) -> bytes:
        """Let the notary say what stands in feeds."""
        leaves = [d.leaf for d in sorted(deliveries)]
        fields: dict[str, Any] = {
            "schema": DELIVERY_SCHEMA,
            "field_count": len(leaves),
            "fields": root(leaves),
        }
        body = disclosure_body(deliveries)
        return self.add(NOTARY, Kind.DISCLOSURE, body=body, **fields, **more)

    def receive(self, label: str, after: bytes, *deliveries: Delivery, **more: Any) -> bytes:
        """Let an agency confirm what it took."""
        leaves = [d.leaf for d in deliveries]
        fields: dict[str, Any] = {
            "schema": RECEIPT_SCHEMA,
            "field_count": len(leaves),
            "fields": root(leaves),
        }
        body = receipt_body(leaves)
        return self.add(label, Kind.RECEIPT, body=body, after=after, **fields, **more)

    def epoch(self, **changes: Any) -> None:
        """End a checkpoint."""
        data = self.state.epoch()._replace(**changes).encode()
        self.leaves.append((data, b""))
        self.state.close(leaf(data))
        self._seen = self.size, self.checkpoint.root

    @property
    def size(self) -> int:
        return len(self.leaves)

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.log.origin, self.size, self.state.range.root)

    @property
    def note(self) -> bytes:
        return Note(self.checkpoint.text, (sign(self.checkpoint, self.log.signer, 0),)).encode()

    def consistency(self, old: int) -> tuple[bytes, ...]:
        """Return the proof that the tree of size `old` begins this one."""

        def nodes(level: int, index: int) -> bytes:
            span = self.leaves[index << level : (index + 1) << level]
            return root([leaf(data) for data, _ in span])

        return tuple(consistency_proof(old, self.size, nodes))

    def write(self, folder: Path) -> Checkpoint:
        """Write the files of the tree as it is, and the checkpoint; return that."""
        edge, filled = self._edge.extend(leaf(data) for data, _ in self.leaves[self._written :])
        files = {tile.path: data for tile, data in (*filled, *edge.partial())}
        for number in range(self._written // WIDTH, -(-self.size // WIDTH)):
            items = self.leaves[number * WIDTH : (number + 1) * WIDTH]
            width = len(items)
            files[entries_path(number, width)] = encode_entries(e for e, _ in items)
            files[body_path(number, width)] = encode_bodies(b for _, b in items)
        files["checkpoint"] = self.note
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        self._edge, self._written = edge, self.size
        return self.checkpoint


def delivery(seq: int, agency: str = a.REFUGE, event: bytes = ZEROS) -> Delivery:
    return Delivery(agency, a.SUPPORT, 0, seq, 0, 1, event, "")


def small_trail(log: Log | None = None) -> SignedTrail:
    """Two agencies, a case, a refused action, a disclosure with its receipt, a challenge."""
    trail = SignedTrail(log)
    trail.agency(a.REFUGE)
    trail.agency(a.POLICE)
    opened = trail.add(a.POLICE, body=b"opened")
    trail.epoch()
    trail.add(a.REFUGE, body=b"refused", code="CONSENT_MISSING")
    first = delivery(1, event=opened)
    disclosed = trail.disclose(first)
    trail.epoch()
    trail.receive(a.REFUGE, disclosed, first)
    trail.add(a.POLICE, Kind.AUDIT, body=key("nonce"))
    trail.epoch()
    return trail
