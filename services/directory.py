"""The agency directory as somebody who trusts no hub keeps it: facts checked, keys pinned.

Gateways and the custodian follow the registry's stream, check both registrars' signatures
on every fact against the registrars they pinned, and believe nothing that does not hold.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256

from domain import events as ev
from domain.agency import Registry, decide, evolve
from domain.errors import Corrupt, Malformed, NotAuthentic, Refused
from domain.messages import Shown
from domain.ports import Language
from domain.record import Record
from domain.trail import statement
from domain.trail.describes import check_describes
from domain.trail.statement import Statement

Verify = Callable[[bytes, bytes, bytes], bool]


class Directory:
    """The registry of agencies, folded from checked facts."""

    def __init__(self, language: Language, registrars: Mapping[str, bytes], verify: Verify) -> None:
        """Pin `registrars` (id -> Ed25519 public key)."""
        self._language = language
        self._registrars = registrars
        self._verify = verify
        self.registry = Registry()
        self.seq = 0
        """How many facts were taken."""

    def take(self, seq: int, shown: Shown) -> None:
        """Fold fact number `seq`; `NotAuthentic` or `Corrupt` when it does not hold."""
        if seq <= self.seq:
            return
        if seq != self.seq + 1:
            raise Corrupt("REGISTRY_GAP", f"fact {seq} follows {self.seq}; the hub leaves some out")
        _, event = self._language.read(shown.type, shown.record)
        if not isinstance(event, ev.RegistryEvent):
            raise Malformed("WRONG_STREAM", "this is no registry fact")
        try:
            decide(event, self.registry, self._verify, self._registrars, shown.recorded_ms)
        except Refused as e:
            message = f"registry fact {seq} does not hold ({e.code}); alarm the coordinator"
            raise NotAuthentic("REGISTRY_FACT_REFUSED", message) from e
        self.registry = evolve(self.registry, event, shown.recorded_ms)
        self.seq = seq

    def checked(self, shown: Shown) -> tuple[Record, ev.CaseEvent, Statement]:
        """Return the record, event and statement of a case event whose signature holds.

        `NotAuthentic` when the statement is not by a key of the agency that the record names,
        `Malformed` when the statement is not about the record.
        """
        record, event = self._language.read(shown.type, shown.record)
        if isinstance(event, ev.RegistryEvent):
            raise Malformed("WRONG_STREAM", "a registry fact in a case")
        said = Statement.decode(shown.statement)
        check_describes(said, record, self._language.shape(shown.type), event.head.case_id)
        key = self.registry.key_of(said.actor)
        if (
            key is None
            or key.agency != event.head.agency
            or not key.period.holds(shown.recorded_ms)
        ):
            raise NotAuthentic("ACTOR_UNKNOWN", "no key of the acting agency made this statement")
        if not self._verify(
            key.signing_key, statement.signed_bytes(shown.statement), shown.signature
        ):
            raise NotAuthentic("BAD_SIGNATURE", "the signature does not hold for this statement")
        return record, event, said


def fingerprint(opening_key: bytes) -> bytes:
    """Return the SHA-256 of an opening key, by which releases name it."""
    return sha256(opening_key).digest()
