"""The registry of agencies as the custodian acts on it: what the hub sends, shown by the trail.

A key is wrapped only to an opening key that stands in the trail, where its agency, witnesses and
auditors see it too. So nobody gets a key of their own to the custodian's eyes alone.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

from domain import events as ev
from domain.agency import Registry
from domain.custody import Custody
from domain.errors import NotAuthentic, Unavailable
from domain.messages import FollowedItem
from domain.notary import Streamed
from domain.ports import Language
from domain.trail.describes import check_describes
from domain.trail.merkle import leaf
from domain.trail.statement import ZEROS, Statement, digest, stream_tag
from services.custodian.stream import chained
from services.directory import Directory

REGISTRY = stream_tag(ev.REGISTRY_STREAM)
_OVERHEAD = 512
"""Bytes that a fact takes in memory, about."""


class Fact(NamedTuple):
    """A fact as the trail has it."""

    digest: bytes
    """Of its statement."""
    leaf: bytes
    at: int
    """Where in the log its entry is said to stand."""


class Facts(NamedTuple):
    """The registry's stream from its first entry on. What it says is proven once its head is."""

    length: int = 0
    head: bytes = ZEROS
    """Leaf hash of the last entry."""
    facts: tuple[Fact, ...] = ()
    """Those that the hub accepted."""

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        return _OVERHEAD * (1 + len(self.facts))

    def extended(self, _: str, entries: Sequence[Streamed]) -> Self:
        """Return the stream with `entries` after its own; `NotAuthentic` BAD_CHAIN."""
        head, found = self.head, list(self.facts)
        for item, entry in chained(REGISTRY, self.length, head, entries):
            head = leaf(item.entry)
            if not entry.code:
                found.append(Fact(digest(entry.statement), head, item.index))
        return self.__class__(self.length + len(entries), head, tuple(found))


class ShownRegistry:
    """The checked directory, and how it was when the trail had shown all of it."""

    def __init__(self, directory: Directory, custody: Custody, language: Language) -> None:
        """Read what `custody` keeps of the hub's log."""
        self.directory = directory
        self._language = language
        self._custody = custody
        self._digests: list[bytes] = []
        self._shown = Registry()
        count = custody.facts()
        for item in custody.followed(ev.REGISTRY_STREAM):
            self.take(item)
            if directory.seq == count:
                self._shown = directory.registry

    def take(self, item: FollowedItem) -> None:
        """Take a fact that the hub sends; raises what `Directory.take` raises.

        `Malformed` STATEMENT_MISMATCH when its statement, which the trail has, is not about it.
        """
        sent = item.event
        record, _ = self._language.read(sent.type, sent.record)
        said, shape = Statement.decode(sent.statement), self._language.shape(sent.type)
        check_describes(said, record, shape, ev.REGISTRY_STREAM)
        self.directory.take(item.seq, sent)
        if item.seq == len(self._digests) + 1:
            self._digests.append(digest(sent.statement))

    def show(self, facts: Sequence[Fact]) -> None:
        """Take all facts that the trail has, proven.

        `NotAuthentic` REGISTRY_DIFFERS when the hub sent others, `Unavailable` REGISTRY_BEHIND
        when it has not sent all of them yet.
        """
        known, shown = self._digests, [fact.digest for fact in facts]
        if shown[: len(known)] != known[: len(shown)]:
            message = "the hub sends other facts of the registry than the trail shows"
            raise NotAuthentic("REGISTRY_DIFFERS", message)
        if len(shown) > len(known):
            message = "the hub has not sent every fact that the trail shows; asked again"
            raise Unavailable("REGISTRY_BEHIND", message)
        if len(shown) < self._custody.facts():  # that was another log
            self._custody.show_facts(0)
            self._shown = Registry()
        if shown == known and len(known) != self._custody.facts():
            self._custody.show_facts(len(known))
            self._shown = self.directory.registry

    def shows(self, agency: str, at_ms: int) -> bool:
        """Return whether the trail has shown the opening key of an agency, if it has one."""
        key = self.directory.registry.opening_key(agency, at_ms)
        return key is None or key == self._shown.opening_key(agency, at_ms)
