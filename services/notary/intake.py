"""The intake: what readers sign about what they read, checked and kept until its turn comes."""

import hashlib
from collections.abc import Callable, Sequence

from domain.agency import Registry
from domain.errors import Conflict, Malformed, NotAuthentic, Refused
from domain.events import REGISTRY_STREAM
from domain.notary import NotaryStore, Posted, SignedStatement, TrailFiles
from domain.standing import Key
from domain.trail.deliveries import RECEIPT_SCHEMA, leaves_of
from domain.trail.merkle import EMPTY_ROOT, root
from domain.trail.statement import (
    ZEROS,
    Kind,
    Statement,
    digest,
    reader_id,
    signed_bytes,
    stream_tag,
)
from services.notary.state import newest_disclosure

NONCE_SIZE = 32
WAITING = 20
"""Challenges of a reader that wait for the log, at most."""
FRESH_MS = 3_600_000
"""How long ago a reader may have signed; the log takes it for most of a day more."""
Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) -> whether it holds."""
_REGISTRY = stream_tag(REGISTRY_STREAM)


class Intake:
    """Takes receipts and challenges of registered agencies."""

    def __init__(
        self,
        store: NotaryStore,
        files: TrailFiles,
        registry: Callable[[], Registry],
        verify: Verify,
        clock: Callable[[], int],
    ) -> None:
        """Take what `registry` knows the reader of; `clock` gives ms."""
        self._store = store
        self._files = files
        self._registry = registry
        self._verify = verify
        self._clock = clock

    def take(self, kind: Kind, signed: SignedStatement, agency: str) -> int:
        """Keep a statement of `agency` and return its number; a repeat gets its first one.

        `Malformed` STATEMENT_MISMATCH for another body, `NotAuthentic` READER_KEY or SIGNATURE,
        `Conflict` READER_SEQ unless it is the reader's next. `Refused`: REGISTRY_WRITER in the
        registry's stream, which stands whole in every bundle of evidence; READER_TIME unless it
        was signed lately under that key; RECEIPT_UNKNOWN unless it confirms what stood in a feed
        of the agency; SEEN_UNKNOWN for a tree that never was; CHALLENGE_STREAM unless it is about
        a case of which the log has an accepted action; CHALLENGES_WAITING for more than `WAITING`.
        """
        said = Statement.decode(signed.statement)
        if said.kind != kind:
            raise Malformed("STATEMENT_KIND", f"this takes statements of kind {kind}")
        if said.stream == _REGISTRY:
            raise Refused("REGISTRY_WRITER", "this is about a case; the registry has no readers")
        key = self._checked_key(said, signed, agency)
        posted = Posted(signed.statement, signed.signature, signed.body)
        if not self._store.has_taken(signed.statement):
            self._check_next(said, self._store.posted(said.actor))
            self._check_time(said, key)
            self._check_seen(said)
            _check_body(said, signed.body)
            if kind is Kind.RECEIPT:
                self._check_receipt(said, leaves_of(signed.body), agency)
            else:
                self._check_challenge(said)
        return self._store.take(posted)

    def disclosure(self, stream: bytes, leaf: bytes, agency: str) -> bytes:
        """Return the digest of the DISCLOSURE that lists a delivery to an agency.

        That is what a RECEIPT of it names; `Refused` NOT_DISCLOSED.
        """
        found = newest_disclosure(self._store, self._files, stream, agency, [leaf])
        if found is None:
            raise Refused("NOT_DISCLOSED", "no DISCLOSURE of this case lists this delivery to you")
        return found

    def _checked_key(self, said: Statement, signed: SignedStatement, agency: str) -> Key:
        """Return the agency's key in force, which signed this."""
        known = self._registry().agencies.get(agency)
        key = known.key(self._clock()) if known else None
        if key is None or reader_id(key.signing_key) != said.actor:
            raise NotAuthentic("READER_KEY", "sign with the agency's key in force, as its reader")
        if not self._verify(key.signing_key, signed_bytes(signed.statement), signed.signature):
            raise NotAuthentic("SIGNATURE", "the signature does not hold; sign the statement")
        return key

    def _check_time(self, said: Statement, key: Key) -> None:
        """Refuse what the log might not take any more when its turn comes."""
        at = said.actor_time_ms
        if at < self._clock() - FRESH_MS or not key.period.holds(at):
            message = "sign it anew: an hour has passed, or the clock is wrong"
            raise Refused("READER_TIME", message)

    def _check_next(self, said: Statement, newest: Posted | None) -> None:
        expected = 0, ZEROS
        if newest is not None:
            expected = (
                Statement.decode(newest.statement).actor_seq + 1,
                digest(newest.statement),
            )
        if (said.actor_seq, said.actor_prev) != expected:
            message = f"the reader's next statement is number {expected[0]} after its last one"
            raise Conflict("READER_SEQ", message)

    def _check_seen(self, said: Statement) -> None:
        known = EMPTY_ROOT if said.seen_size == 0 else self._store.root_at(said.seen_size)
        if said.seen_root != known:
            raise Refused("SEEN_UNKNOWN", "the log never had the root that the statement has seen")

    def _check_receipt(self, said: Statement, leaves: Sequence[bytes], agency: str) -> None:
        """Refuse what is not about deliveries to this agency, and names not the newest of them."""
        found = newest_disclosure(self._store, self._files, said.stream, agency, leaves)
        if found is None:
            raise Refused("RECEIPT_UNKNOWN", "the receipt confirms what was not delivered")
        if found != said.after:
            message = "a receipt names the newest DISCLOSURE of what it confirms"
            raise Refused("RECEIPT_AFTER", message)

    def _check_challenge(self, said: Statement) -> None:
        """Refuse what would grow the log and answer nothing."""
        if not self._store.has_case(said.stream):
            message = "the trail has no action of such a case; use its disclosure stream"
            raise Refused("CHALLENGE_STREAM", message)
        if self._store.challenges(said.actor) >= WAITING:
            message = f"{WAITING} challenges of yours wait; ask again once the trail has them"
            raise Refused("CHALLENGES_WAITING", message)


def _check_body(said: Statement, body: bytes) -> None:
    if said.kind == Kind.RECEIPT:
        leaves = leaves_of(body)
        about = (RECEIPT_SCHEMA, len(leaves), root(leaves))
    elif len(body) == NONCE_SIZE:
        about = (said.schema, 0, EMPTY_ROOT)
    else:
        raise Malformed("STATEMENT_MISMATCH", f"a challenge is a nonce of {NONCE_SIZE} bytes")
    payload = hashlib.sha256(body).digest()
    if (said.schema, said.field_count, said.fields, said.payload) != (*about, payload):
        raise Malformed("STATEMENT_MISMATCH", "the statement does not describe this body")
