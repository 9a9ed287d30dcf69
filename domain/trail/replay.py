"""Replay: the whole log again, leaf by leaf, and what is wrong with it.

Finds what one trail's proof cannot show: forks, forged map roots, backdating, missing numbers
of an actor, roots of another log, feeds that were not told (reference audit 5.3). Signatures
are handed out, so that the caller verifies them in bulk and in as many processes as it likes.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from domain.errors import HubError, Malformed
from domain.standing import Period
from domain.trail.admission import (
    SEEN,
    Problem,
    Signer,
    epoch_problems,
    map_problems,
    problems,
)
from domain.trail.entry import Epoch, read
from domain.trail.merkle import leaf
from domain.trail.state import Item, State
from domain.trail.statement import Kind, actor_id, signed_bytes

MOST_FINDINGS = 1_000
"""And as many alarms: a log could be made to have more than memory holds."""


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


class Replay:
    """Takes the leaves of a log in order and keeps what is wrong with them.

    It goes on after every finding, with the chains as the leaf claims them, so that one fault
    is told once; the first `MOST_FINDINGS` are kept. After a leaf or disclosure that cannot be
    read the map cannot be known: its roots are not checked any more (`map_known`), and
    `findings` cannot be empty.
    """

    def __init__(self, *, keys: Keys, notary: bytes, follow: Collection[bytes] = ()) -> None:
        """Start before the first leaf; `notary` is its pinned public key.

        `follow` names streams whose entries are listed in `followed`.
        """
        self.state = State()
        self.findings: list[Finding] = []
        self.alarms: list[Finding] = []
        """Where an actor says that it was shown another log: no fault that is seen in this one,
        else any one actor could spoil it for all."""
        self.map_known = True
        self.followed: dict[bytes, list[int]] = {stream: [] for stream in follow}
        """stream -> indexes of its entries, in order."""
        self._keys = keys
        self._notary = actor_id(notary)
        self._notary_signer = Signer(notary, "", Period(starts=0))

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
