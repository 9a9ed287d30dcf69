"""Replay: the whole log again, leaf by leaf, and what is wrong with it.

Finds what one trail's proof cannot show: forks, forged map roots, backdating, missing numbers
of an actor, roots of another log, feeds that were not told (reference audit 5.3). Signatures
are handed out, so that the caller verifies them in bulk and in as many processes as it likes.

What one process replayed another may go on from (`kept`): who changes a rule raises its VERSION.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from domain.errors import HubError, Malformed
from domain.events import REGISTRY_STREAM
from domain.standing import Period
from domain.trail.admission import (
    SEEN,
    Problem,
    Signer,
    epoch_problems,
    map_problems,
    problems,
)
from domain.trail.entry import Entry, Epoch, read
from domain.trail.merkle import Range, leaf
from domain.trail.state import Item, State
from domain.trail.statement import Kind, actor_id, signed_bytes, stream_tag

MOST_FINDINGS = 1_000
"""And as many alarms: a log could be made to have more than memory holds."""
REGISTRY = stream_tag(REGISTRY_STREAM)
"""The stream from which keys are learned."""
_STREAM = slice(4, 36)
"""Where a statement says of which stream it is (docs/formats.md)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the log."""

    index: int
    """Of the leaf."""
    check: str
    """Code of the rule that fails."""
    message: str


class Claim(NamedTuple):
    """A signature that must hold: what a bulk verifier takes."""

    public: bytes
    """Ed25519 public key."""
    message: bytes
    signature: bytes


class Keys(Protocol):
    """Which keys stand behind actors, as far as the log was replayed: the registry's knowledge."""

    def signer(self, actor: bytes) -> Signer | None:
        """Return whose actor it is, `actor_id` or `reader_id`; None if no key is known."""
        ...

    def learn(self, item: Item) -> None:
        """Take an accepted action; what is no registry fact is passed over.

        `Refused` when the fact does not hold; it becomes a finding, and nothing is learned.
        """
        ...


class Kept(NamedTuple):
    """A replay right after an EPOCH, with nothing found but alarms: all it takes to go on."""

    covered: Range
    """The tree up to the EPOCH, without it."""
    epoch: bytes
    """The entry."""
    state: State
    """After it."""
    facts: Sequence[tuple[bytes, bytes]]
    """The registry's stream: each entry and its body."""
    alarms: Sequence[Finding]


class Replay:
    """Takes the leaves of a log in order and keeps what is wrong with them.

    It goes on after every finding, with the chains as the leaf claims them, so that one fault
    is told once; the first `MOST_FINDINGS` are kept. After a leaf or disclosure that cannot be
    read the map cannot be known: its roots are not checked any more (`map_known`), and
    `findings` cannot be empty.
    """

    def __init__(
        self,
        *,
        keys: Keys,
        notary: bytes,
        follow: Collection[bytes] = (),
        kept: Kept | None = None,
    ) -> None:
        """Start before the first leaf, or after what was `kept`, which is this replay's then.

        `notary` is its pinned public key; `follow` names streams whose entries are listed in
        `followed`, from here on. What `Keys.learn` says of a fact in `kept` is raised.
        """
        self.state = kept.state if kept else State()
        self.findings: list[Finding] = []
        self.alarms: list[Finding] = list(kept.alarms) if kept else []
        """Where an actor says that it was shown another log: no fault that is seen in this one,
        else any one actor could spoil it for all."""
        self.map_known = True
        self.followed: dict[bytes, list[int]] = {stream: [] for stream in follow}
        """stream -> indexes of its entries, in order."""
        self._keys = keys
        self._notary = actor_id(notary)
        self._notary_signer = Signer(notary, "", Period(starts=0))
        self._closed = (kept.covered, kept.epoch) if kept else None
        """The newest EPOCH, and the tree before it."""
        self._facts = list(kept.facts) if kept else []
        for data, body in self._facts:
            entry = Entry.decode(data)
            if entry.said.kind == Kind.ACTION and not entry.code:
                keys.learn(Item(data, entry, body))

    @property
    def kept(self) -> Kept | None:
        """What to keep; None but right after an EPOCH, and for good once anything is wrong.

        Signatures are not looked at here; it changes with the next leaf, so encode it at once.
        """
        at_epoch = self.state.checkpoint(self.state.size) is not None
        if self._closed is None or self.findings or not at_epoch:
            return None
        return Kept(*self._closed, self.state, self._facts, self.alarms)

    def take(self, data: bytes, body: bytes | None) -> Claim | None:
        """Take the next leaf, and its body if it is at hand; return the signature to verify.

        None if it has none, or none that anybody could verify: that is a finding then.
        """
        try:
            found = read(data)
        except Malformed as e:
            self._find([Problem("ENTRY", e.message)])
            self.map_known = False
            self.state.skip(leaf(data))
            return None
        if isinstance(found, Epoch):
            self._close(data, found, body)
            return None
        if data[_STREAM] == REGISTRY:
            self._facts.append((data, body or b""))
        return self._add(Item(data, found, body))

    def finish(self) -> None:
        """Say that this was the last leaf: a log ends with an EPOCH."""
        size = self.state.size
        if self.state.checkpoint(size) is None:
            self.findings.append(Finding(size - 1, "EPOCH", "the log does not end with an EPOCH"))

    def _close(self, data: bytes, epoch: Epoch, body: bytes | None) -> None:
        self._find(epoch_problems(self.state, epoch, body))
        if self.map_known:
            self._find(map_problems(self.state, epoch))
        self._closed = self.state.range, data
        self.state.close(leaf(data))

    def _add(self, item: Item) -> Claim | None:
        said, entry = item.said, item.entry
        signer = (
            self._notary_signer if said.actor == self._notary else self._keys.signer(said.actor)
        )
        found = problems(self.state, item, signer, self._notary)
        if found:
            self._find(found)
        if said.kind == Kind.DISCLOSURE and not item.deliveries:
            self.map_known = False
        if said.stream in self.followed:
            self.followed[said.stream].append(self.state.size)
        if said.kind == Kind.ACTION and not entry.code:
            try:
                self._keys.learn(item)
            except HubError as e:
                self._find([Problem(e.code, e.message)])
        self.state.add(item)
        return signer and Claim(signer.public, signed_bytes(entry.statement), entry.signature)

    def _find(self, wrong: Iterable[Problem]) -> None:
        """Keep what is wrong; what nobody would read is not even looked for."""
        for problem in wrong:
            kept = self.alarms if problem.check == SEEN else self.findings
            if len(kept) < MOST_FINDINGS:
                kept.append(Finding(self.state.size, *problem))
            elif kept is self.findings:
                return
