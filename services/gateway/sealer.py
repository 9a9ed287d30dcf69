"""From a command in clear to signed actions: check, seal, state, sign.

Everything happens on the agency's machine; what leaves it is sealed. A command that needs a
data key that is not open yet gets a KeyEpochOpened before it.
"""

import base64
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from uuid import UUID, uuid4

from domain import events as ev
from domain.action import Action
from domain.errors import Malformed
from domain.gateway import FOREVER_MS, Command, KeptKey, Outgoing
from domain.messages import SignedRelease
from domain.ports import Boxing, Language
from domain.record import Field, Record
from domain.sealing import (
    DataKey,
    KeyRelease,
    Scope,
    Sealing,
    Signing,
    commitment,
    encode_bundles,
)
from domain.secret import Secret
from domain.trail import statement
from domain.trail.merkle import EMPTY_ROOT
from domain.trail.statement import ZEROS, Kind, Statement
from domain.vocabulary import Category
from services.directory import fingerprint
from services.gateway.keyring import context_of, place_of

KEY_EVENT = "KeyEpochOpened"
NOTHING_SEEN = (0, EMPTY_ROOT)
"""Size and root where no checkpoint was verified yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Who this gateway acts for, its secrets, and whom it pinned."""

    agency: str
    hub: str
    signing_seed: Secret
    opening_seed: Secret
    custodian: str
    custodian_opening_key: bytes
    custodian_public_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A command that the language understands, before anything of it is sealed or signed."""

    type: str
    head: ev.Head
    fields: tuple[Field, ...]


@dataclass(slots=True)
class Made:
    """What a command became: actions in order, the keys they open, the deposits of those keys."""

    outgoing: list[Outgoing] = field(default_factory=list)
    keys: list[KeptKey] = field(default_factory=list)
    deposits: list[SignedRelease] = field(default_factory=list)


class Sealer:
    """Makes actions; holds the head of the agency's own chain."""

    def __init__(
        self,
        *,
        office: Office,
        language: Language,
        sealing: Sealing,
        signing: Signing,
        box: Boxing,
        clock: Callable[[], int],
        policy: str,
        head: tuple[int, bytes] | None,
        seen: Callable[[], tuple[int, bytes]] = lambda: NOTHING_SEEN,
    ) -> None:
        """Act under `policy`, and continue the actor's chain after `head` (number, digest).

        `seen` returns size and root of the newest checkpoint that was verified here.
        """
        self._office = office
        self._language = language
        self._sealing = sealing
        self._signing = signing
        self._box = box
        self._clock = clock
        self._policy = policy
        self._seen = seen
        self.resume(head)
        self.public_key = signing.public_key(office.signing_seed.reveal())
        self._actor = statement.actor_id(self.public_key)

    def resume(self, head: tuple[int, bytes] | None) -> None:
        """Continue the actor's chain after `head`, whatever was signed since."""
        self._next = head[0] + 1 if head else 0
        self._prev = head[1] if head else ZEROS

    def checked(self, command: Command) -> Checked:
        """Return the command as an event in clear, or raise `Malformed`; signs nothing."""
        type = self._language.newest(command.type)
        if command.type == KEY_EVENT:
            raise Malformed("UNKNOWN_EVENT", "the gateway opens keys by itself")
        now = self._clock()
        head = ev.Head(
            event_id=uuid7(now),
            case_id=command.case_id or str(uuid4()),
            agency=self._office.agency,
            occurred_at=command.occurred_at if command.occurred_at is not None else now,
            policy=self._policy,
            legal_basis=command.legal_basis,
        )
        document = {**command.fields, "head": _head(head)}
        return Checked(type=type, head=head, fields=self._language.clear(type, document))

    def again(self, checked: Checked, document: Mapping[str, object]) -> Checked:
        """Return the same event, with the same id, over other fields."""
        fields = self._language.clear(checked.type, {**document, "head": _head(checked.head)})
        return replace(checked, fields=fields)

    def make(
        self,
        command_id: str,
        checked: Checked,
        own: dict[int, tuple[int, bytes]],
        after: bytes,
        *,
        fresh: bool = False,
    ) -> Made:
        """Return the actions for a checked command.

        `own` is the agency's newest (epoch, key) of each category in this case, and gains what
        is opened here; with `fresh` each category needed gets its next epoch. `after` is the
        newest statement of the case seen here.
        """
        head, made = checked.head, Made()
        needed = {f.category for f in checked.fields if f.category is not Category.ROUTING}
        missing = sorted(c for c in needed if fresh or c not in own)
        if missing:
            after = self._open_keys(made, head, missing, own, after)
        sealed = tuple(self._sealed(checked.type, head, f, own) for f in checked.fields)
        action, seq = self._signed(Record(checked.type, sealed), head, after)
        made.outgoing.append(
            Outgoing(
                number=0, command_id=command_id, case_id=head.case_id, actor_seq=seq, action=action
            )
        )
        return made

    def _open_keys(
        self,
        made: Made,
        head: ev.Head,
        missing: Iterable[Category],
        keys: dict[int, tuple[int, bytes]],
        after: bytes,
    ) -> bytes:
        """Open the next epoch of each missing category; return the new statement's digest."""
        opened = []
        for category in missing:
            epoch = keys[category][0] + 1 if category in keys else 1
            opened.append(DataKey(category, epoch, self._sealing.new_key()))
            keys[category] = (epoch, opened[-1].dek)
        action, seq = self._signed(*self._key_event(head, opened), after)
        made.outgoing.append(
            Outgoing(number=0, command_id="", case_id=head.case_id, actor_seq=seq, action=action)
        )
        made.keys += [self._kept(head.case_id, key) for key in opened]
        made.deposits += self._deposits(head.case_id, opened)
        return statement.digest(action.statement)

    def _key_event(self, head: ev.Head, opened: Sequence[DataKey]) -> tuple[Record, ev.Head]:
        head = replace(head, event_id=uuid7(self._clock()))
        scope = self._scope(head.case_id)
        keys = [
            {
                "category": int(key.category),
                "epoch": key.epoch,
                "commitment": b64(commitment(key.dek, scope, key.category, key.epoch)),
            }
            for key in opened
        ]
        type = self._language.newest(KEY_EVENT)
        reason = "initial" if all(k.epoch == 1 for k in opened) else "withdrawn"
        document = {"head": _head(head), "keys": keys, "reason": reason}
        return Record(type, self._language.clear(type, document)), head

    def _scope(self, case_id: str) -> Scope:
        return Scope(hub=self._office.hub, writer=self._office.agency, case_id=case_id)

    def _kept(self, case_id: str, key: DataKey) -> KeptKey:
        name = (self._office.agency, int(key.category), key.epoch)
        return KeptKey(
            case_id=case_id,
            writer=name[0],
            category=name[1],
            epoch=name[2],
            boxed=self._box.seal(key.dek, place_of(case_id, name)),
        )

    def _deposits(self, case_id: str, keys: Sequence[DataKey]) -> Iterable[SignedRelease]:
        office = self._office
        for bundle in encode_bundles(keys):
            release = KeyRelease(
                release_id=str(uuid4()),
                hub=office.hub,
                case_id=case_id,
                writer=office.agency,
                recipient=office.custodian,
                recipient_key_fp=fingerprint(office.custodian_opening_key),
                basis="deposit",
                not_after_ms=FOREVER_MS,
                issuer=office.agency,
                issued_at_ms=self._clock(),
            )
            sealed = self._sealing.wrap(office.custodian_opening_key, release.info, bundle)
            release = replace(release, sealed=sealed)
            signature = self._signing.sign(office.signing_seed.reveal(), release.signed_bytes)
            yield SignedRelease(release=release.encode(), signature=signature)

    def _sealed(
        self, type: str, head: ev.Head, field: Field, keys: Mapping[int, tuple[int, bytes]]
    ) -> Field:
        if field.category is Category.ROUTING:
            return field
        epoch, dek = keys[field.category]
        context = context_of(self._office.hub, self._language, type, head)
        value = self._sealing.seal_field(
            dek, context, field.path, field.category, epoch, field.value
        )
        return field._replace(value=value)

    def _signed(self, record: Record, head: ev.Head, after: bytes) -> tuple[Action, int]:
        """State and sign one record as the next action of this actor."""
        body, seq = self._language.body(record), self._next
        seen_size, seen_root = self._seen()
        said = Statement(
            kind=Kind.ACTION,
            type=self._language.shape(record.type).number,
            stream=statement.stream_tag(head.case_id),
            after=after,
            actor=self._actor,
            actor_seq=seq,
            actor_prev=self._prev,
            actor_time_ms=self._clock(),
            schema=self._language.shape(record.type).seal_fp,
            field_count=len(record.fields),
            fields=record.fields_root,
            payload=sha256(body).digest(),
            seen_size=seen_size,
            seen_root=seen_root,
        ).encode()
        seed = self._office.signing_seed.reveal()
        signature = self._signing.sign(seed, statement.signed_bytes(said))
        self._next, self._prev = seq + 1, statement.digest(said)
        action = Action(
            event_id=head.event_id,
            type=record.type,
            record=body,
            statement=said,
            signature=signature,
        )
        return action, seq


def uuid7(now_ms: int) -> str:
    """Return a new UUIDv7 (RFC 9562 section 5.7) for an instant in ms."""
    value = (now_ms & ((1 << 48) - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


def _head(head: ev.Head) -> dict[str, object]:
    return {name: getattr(head, name) for name in ev.Head.__slots__}


def b64(data: bytes) -> str:
    """Return standard base64, as documents carry bytes."""
    return base64.b64encode(data).decode()
