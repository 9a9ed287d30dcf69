"""Settling: a case's releases brought to what consent allows and the trail has shown.

What consent takes back goes at once, whatever the trail says. What it newly allows waits until
the disclosure that goes with it is proven; a proof counts as long as consent lasts.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from domain.custody import Custody, HeldRelease, Proven, Waiting
from services.custodian.disclosures import Shown
from services.custodian.releasing import Due, Releasing


class Metrics(Protocol):
    """What is noted of releases."""

    def settled(self, released: int, removed: int) -> None:
        """Count releases that were made or changed, and those that were taken back."""
        ...

    def waited(self, seconds: float) -> None:
        """Note how long the releases of a case waited for their proof."""
        ...


class Settling:
    """Writes releases; nobody else does."""

    def __init__(
        self,
        custody: Custody,
        releasing: Releasing,
        metrics: Metrics,
        clock: Callable[[], int],
    ) -> None:
        """`clock` gives ms."""
        self._custody = custody
        self._releasing = releasing
        self._metrics = metrics
        self._clock = clock

    def settle(self, case_ids: Iterable[str]) -> frozenset[str]:
        """Bring cases to what holds now; return the recipients whose releases changed."""
        with self._custody.together():
            changed = [held for case_id in case_ids for held in self._settle(case_id)]
            if changed:
                self._custody.put_releases(changed)
        if changed:
            released = sum(bool(held.state) for held in changed)
            self._metrics.settled(released, len(changed) - released)
        return frozenset(held.recipient for held in changed)

    def prove(self, shown: Mapping[str, Shown]) -> frozenset[str]:
        """Take what the trail has shown, by case; return the recipients with changed releases."""
        before = {case_id: self._custody.waits(case_id) for case_id in shown}
        with self._custody.together():
            for case_id, of_case in shown.items():
                self._custody.prove(case_id, self._proven(case_id, of_case))
            recipients = self.settle(shown)
        for case_id, waited in before.items():
            if waited is not None and self._custody.waits(case_id) is None:
                self._metrics.waited((self._clock() - waited.since_ms) / 1000)
        return recipients

    def _proven(self, case_id: str, shown: Shown) -> list[Proven]:
        """Return the keys that were shown: a key is, where the event that opened it is."""
        openers = self._releasing.openers(case_id)
        return [
            Proven(seat, key, shown.size, shown.witnessed)
            for (seat, event), mask in shown.masks.items()
            for key in openers.get(event, ())
            if mask & (1 << key[1])
        ]

    def stands(self, held: HeldRelease) -> bool:
        """Return whether a release that was made may still be handed out."""
        due = self._due(held.case_id)[0].get((held.recipient, held.writer), Due())
        now = self._releasing.state(held.case_id, held.recipient, due)
        return bool(held.state) and held.state == now

    def _due(self, case_id: str) -> tuple[Mapping[tuple[str, str], Due], list[Proven]]:
        """Return what is due, and those proofs on which consent still rests."""
        allowed = self._releasing.allowed(case_id)
        kept = [p for p in self._custody.proven(case_id) if (p.seat, p.key) in allowed]
        return self._releasing.due(case_id, allowed, kept), kept

    def _settle(self, case_id: str) -> list[HeldRelease]:
        """Return the releases of a case that differ from what is due now."""
        before = {(h.recipient, h.writer): h for h in self._custody.releases_of_case(case_id)}
        due, kept = self._due(case_id)
        if len(kept) != len(self._custody.proven(case_id)):
            self._custody.prove(case_id, kept)
        self._wait(case_id, sum(bool(one.waiting) for one in due.values()))
        changed = []
        for recipient, writer in due.keys() | before.keys():
            now_due = due.get((recipient, writer), Due())
            state = self._releasing.state(case_id, recipient, now_due)
            held = before.get((recipient, writer))
            if (held.state if held else b"") != state:
                changed.append(self._releasing.release(case_id, recipient, writer, now_due, state))
        return changed

    def _wait(self, case_id: str, releases: int) -> None:
        """Note how many releases of a case wait, since the first of them did."""
        before = self._custody.waits(case_id)
        if (before.releases if before else 0) != releases:
            since_ms = before.since_ms if before else self._clock()
            self._custody.wait(case_id, Waiting(since_ms, releases) if releases else None)
