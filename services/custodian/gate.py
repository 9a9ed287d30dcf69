"""The gate: asks the trail for proofs of what waits to be released, soon after a checkpoint.

It asks about cases with something to release alone. While the trail is away, or a proof does
not hold, nothing new is released and everything else goes on.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable
from typing import Protocol

from domain.custody import DisclosureLink
from domain.errors import HubError, Malformed, NotAuthentic, Unavailable
from domain.events import REGISTRY_STREAM
from domain.notary import HeadProof, StreamProof
from domain.trail.proof import Proof
from services.custodian.checkpoints import Checkpoints
from services.custodian.custodian import Custodian
from services.custodian.disclosures import Check, Disclosures, Shown
from services.custodian.pace import Pace
from services.custodian.registry import Facts
from services.custodian.stream import Stream
from services.custodian.streams import Streams
from services.custodian.tiles import Tiles
from services.signals import Signals

LOOK_SECONDS = 0.1
"""From one look at what waits, and at the checkpoint if something does, to the next."""
AT_ONCE = 16
"""Cases asked about side by side, each with a page of its stream in memory."""
AT_A_TIME = 100
"""Entries checked before others get their turn: some 20 ms."""
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 5.0
log = logging.getLogger(__name__)


class Metrics(Protocol):
    """What is noted of proofs."""

    def bad_proof(self) -> None:
        """Count a checkpoint or proof that does not hold."""
        ...


class Gate:
    """Lets releases through."""

    def __init__(
        self,
        *,
        custodian: Custodian,
        link: DisclosureLink,
        checkpoints: Checkpoints,
        disclosures: Disclosures,
        tiles: Tiles,
        signals: Signals,
        metrics: Metrics,
    ) -> None:
        """`disclosures` are read in the log that `checkpoints` follow."""
        self._custodian = custodian
        self._link = link
        self.checkpoints = checkpoints
        self._disclosures = disclosures
        self._tiles = tiles
        self._signals = signals
        self._metrics = metrics
        self._pace = Pace()
        self._waits_for = ""
        self._published = b""
        self._streams = Streams(Stream())
        self._facts = Streams(Facts())
        self._placed = 0
        """Facts of which it was checked that they stand where they are said to."""
        self._size = checkpoints.size

    async def run(self) -> None:
        """Work until the signals are closed."""
        backoff, away = FIRST_BACKOFF, ""
        while not self._signals.closed:
            try:
                more = await self.step()
            except HubError as e:
                if away != e.code:
                    log.warning("nothing new is released: %s", e)
                if isinstance(e, (NotAuthentic, Malformed)):
                    self._metrics.bad_proof()
                away = e.code
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF)
                continue
            backoff, away = FIRST_BACKOFF, ""
            if not more:
                await asyncio.sleep(LOOK_SECONDS)

    async def step(self) -> bool:
        """Ask about what waits, if it is time; return whether there is more to ask now."""
        if any(size > self._size for size in self._custodian.unwitnessed.values()):
            await self._look()  # is there a quorum over what the log alone has proven?
        self._pace.wait_for(self._waiting(), self._size, time.monotonic())
        if not self._pace.rested(time.monotonic()):
            return False
        await self._look()
        due = self._pace.due(self._size, time.monotonic())
        if due:
            await self._check_registry()
        asked = due[:AT_ONCE]
        for case_id in asked:
            self._pace.asked(case_id, self._size, time.monotonic())
        found = await asyncio.gather(*(self._shown(case_id) for case_id in asked))
        if self._begun_anew():
            return True  # what was read is of a log that is followed no more
        shown = {c: s for c, s in zip(asked, found, strict=True) if s is not None}
        self.checkpoints.keep()
        self._signals.notify(self._custodian.prove(shown))
        return len(due) > len(asked)

    def _waiting(self) -> Collection[str]:
        """Return the cases that wait, and those to be seen again now that a quorum is there."""
        again = self._custodian.unwitnessed.items()
        return [*self._custodian.waiting, *(c for c, size in again if size <= self._size)]

    async def _look(self) -> None:
        """Take the published checkpoint if it is another."""
        self._begun_anew()
        note = await self._link.file("checkpoint")
        if note is None:
            raise Unavailable("TRAIL_EMPTY", "no checkpoint is published yet")
        if note != self._published:
            tree = await self.checkpoints.open(note)
            self._published, self._size = note, tree.checkpoint.size

    async def _check_registry(self) -> None:
        """Compare the registry's facts in the trail with those of the hub, before a release."""
        at_least, facts = self.checkpoints.size, self._disclosures.facts

        async def proven(read: Facts, proof: HeadProof) -> Facts:
            await self.checkpoints.open(Proof.decode(proof.proof.encode()).checkpoint)
            await self._pass(
                await self._tiles.having(lambda: facts(read, self._placed, proof, at_least))
            )
            return read

        async def ask(_: str, after: int) -> StreamProof:
            return await self._link.registry(after)

        read = await self._facts.proven(REGISTRY_STREAM, ask, proven)
        self._placed = len(read.facts)
        self._custodian.show_registry(read.facts)

    async def _pass(self, checks: Iterable[Check]) -> None:
        """Do checks, each once its tiles are here; a withdrawal gets its turn in between."""
        for number, check in enumerate(checks, 1):
            await self._tiles.having(check)
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)

    def _begun_anew(self) -> bool:
        """Return whether somebody has decided to follow another log; `NotAuthentic` SPLIT_VIEW."""
        anew = self.checkpoints.resume()
        if anew:
            self._streams.forget()
            self._facts.forget()
            self._placed = 0
            self._disclosures.forget()
            self._published = b""
        return anew

    async def _shown(self, case_id: str) -> Shown | None:
        """Return what is proven of a case; None when there is no proof, or none that holds."""
        at_least, read = self.checkpoints.size, self._disclosures.shown

        async def proven(stream: Stream, proof: HeadProof) -> Shown:
            await self.checkpoints.open(Proof.decode(proof.proof.encode()).checkpoint)
            events = self._custodian.key_events(case_id)
            shown, checks = await self._tiles.having(
                lambda: read(case_id, stream, proof, events, at_least)
            )
            await self._pass(checks)
            return shown

        try:
            shown = await self._streams.proven(case_id, self._link.disclosures, proven)
        except (NotAuthentic, Malformed) as e:
            log.error("a proof does not hold: %s", e)  # noqa: TRY400 - whose trace says nothing
            self._metrics.bad_proof()
        except HubError as e:
            if self._waits_for != e.code:
                log.warning("a release waits: %s", e)
            self._waits_for = e.code
        except Exception:  # what a notary sends must not end the process that takes withdrawals
            log.exception("a proof could not be looked at")
            self._metrics.bad_proof()
        else:
            self._waits_for = ""
            return shown
        return None
