"""Is a feed whole? What arrived is compared with what the trail says was delivered.

Each entry that arrives is a leaf; a checkpoint proves how many a lane has and the root over
them. What the hub withheld, added or altered is an alarm with seat, lane and number. Once
somebody has decided about it the lane is read and compared anew, or goes on from what the trail
has of it (services.gateway.deciding).
"""

import logging
from collections.abc import Callable, Sequence

from domain.errors import Malformed, NotAuthentic, Refused
from domain.feed import LANES
from domain.gateway_trail import Alarm, Arrived, GatewayTrail, Lane, TrailLink
from domain.messages import FeedItem
from domain.notary import HeadProof
from domain.ports import HubLink
from domain.record import Record
from domain.trail.deliveries import Delivery
from domain.trail.heads import Head, feed_key
from domain.trail.merkle import EMPTY_ROOT, Range
from domain.trail.statement import digest, disclosure_stream
from domain.vocabulary import Category, mask_of
from services.gateway.checkpoints import Checkpoints, about_again
from services.gateway.overdue import Overdue

EVERY_MS = 60_000
"""How often lanes without news are looked at, in case that there should be some."""
_TOP = 1 << 63
log = logging.getLogger(__name__)


def delivery_of(agency: str, purpose: str, item: FeedItem) -> Delivery:
    """Return what the trail must have for an entry of a feed; `Malformed` FEED_ENTRY if none."""
    if not (0 <= item.lane < LANES and 0 < item.seq < _TOP and (item.supersedes or 0) >= 0):
        raise Malformed("FEED_ENTRY", "the entry has no place in a feed")
    return Delivery(
        agency=agency,
        purpose=purpose,
        lane=item.lane,
        seq=item.seq,
        supersedes=item.supersedes or 0,
        mask=mask_of(item.granted),
        event=digest(item.event.statement),
        basis=item.basis,
    )


def check_granted(record: Record, item: FeedItem) -> None:
    """Raise `NotAuthentic` SHOWN_MORE when it shows what it was not recorded to disclose."""
    granted = mask_of(item.granted)
    shown = mask_of(item.categories)
    for field in record.fields:
        if field.category is not Category.ROUTING and not field.withheld:
            shown |= field.category.bit
    if shown & ~granted:
        raise NotAuthentic("SHOWN_MORE", "the entry shows more than the hub says it disclosed")


class Deliveries:
    """The feeds of one agency."""

    def __init__(
        self,
        *,
        agency: str,
        trail: GatewayTrail,
        checkpoints: Checkpoints,
        link: TrailLink,
        hub: HubLink,
        cursor: Callable[[str], str],
        clock: Callable[[], int],
    ) -> None:
        """`cursor` says how far the feed of a purpose was taken; `clock` gives ms."""
        self._agency = agency
        self._trail = trail
        self._checkpoints = checkpoints
        self._link = link
        self._hub = hub
        self._cursor = cursor
        self._clock = clock
        self._looked_ms = 0
        self._overdue = Overdue()
        self._shown: HeadProof | None = None
        """The newest proof of a lane that was shown: what an alarm rests on."""
        self.purposes: set[str] = set()
        """Seats that are read here."""

    @property
    def due(self) -> bool:
        """Whether it is time to look at every lane."""
        return self._clock() - self._looked_ms >= EVERY_MS

    def take(self, purpose: str, taken: Sequence[tuple[FeedItem, str]]) -> None:
        """Keep (entry, case id) of a page, in the transaction that keeps what they show.

        The case id is empty for an entry that did not hold. An entry without a place in a feed
        is left out, and the next proof says so.
        """
        now, arrived = self._clock(), []
        for item, case_id in taken:
            try:
                leaf = delivery_of(self._agency, purpose, item).leaf
            except Malformed as e:
                log.warning("a feed entry has no place in the trail: %s", e.code)
                continue
            arrived.append(Arrived(Lane(purpose, item.lane), item.seq, case_id, leaf, now))
        self._trail.arrived(arrived)
        for one in arrived:
            kept = self._trail.entries(one.lane, one.seq - 1, 1)
            if kept and kept[0].leaf != one.leaf:
                leaves = {"kept.leaf": kept[0].leaf, "shown.leaf": one.leaf}
                self._alarm("FEED_REWRITTEN", one.lane, one.seq, leaves)

    async def check(self) -> bool:
        """Compare lanes with the newest checkpoint: those with news, now and then all.

        Return whether there may be more to compare.
        """
        adopting = self._trail.adopting()
        due = list(dict.fromkeys([*self._trail.open_lanes(), *adopting]))
        if self.due:
            every = [Lane(p, n) for p in sorted(self.purposes) for n in range(LANES)]
            due += [lane for lane in every if lane not in due]
            self._looked_ms = self._clock()
        for lane in sorted(due, key=adopting.__contains__):  # what cannot be adopted holds up none
            key = feed_key(self._agency, lane.purpose, lane.lane)
            head, self._shown = await self._checkpoints.head(key)
            count, root, _ = head or Head(0, EMPTY_ROOT, 0)
            if lane in adopting:
                await self._adopt(lane, Range(count, self._shown.nodes), root)
            else:
                await self._compare(lane, count, root)
        return False

    async def _adopt(self, lane: Lane, theirs: Range, root: bytes) -> None:
        """Go on from the trail's range; `NotAuthentic` BAD_RANGE when its root is another."""
        if len(theirs.nodes) != theirs.size.bit_count() or theirs.root != root:
            raise NotAuthentic("BAD_RANGE", "the notary shows another range than the map has")
        after = self._trail.proven(lane).size
        found = self._trail.entries(lane, after, max(0, theirs.size - after))
        here = [one for one in found if one.seq <= theirs.size]
        never = [one.seq for one in here if not await self._disclosed(one)]
        self._trail.adopt(lane, theirs, never)
        log.warning("%s goes on from number %d, as the trail has it", lane, theirs.size)

    async def _compare(self, lane: Lane, count: int, root: bytes) -> None:
        """Compare a lane with the trail, which has `count` entries of it under `root`."""
        proven = self._trail.proven(lane)
        if count < proven.size:
            self._alarm("FEED_SHRUNK", lane, proven.size)
            return
        found = self._trail.entries(lane, proven.size, min(count - proven.size + 1, _TOP - 1))
        here = [e for e in found if e.seq <= count]
        whole = proven.extend([e.leaf for e in here])
        missing = _gap(here, proven.size)
        if missing <= count:
            await self._missing(lane, missing)
        elif whole.root == root:
            self._trail.extend(lane, whole)
            for one in here:
                self._overdue.found((lane, one.seq))
        elif not self._known(lane):
            await self._differs(lane, here)
        self._unrecorded(lane, found[len(here) :])

    async def _missing(self, lane: Lane, seq: int) -> None:
        """The trail has a number that did not arrive: is it still to come, or withheld?"""
        if self._trail.newest_of(lane) < seq:
            cursor = self._cursor(lane.purpose)
            try:
                page = await self._hub.feed(lane.purpose, cursor, 0)
            except Refused:
                return  # the seat is closed, and whoever reads it hears why
            if page.items or self._cursor(lane.purpose) != cursor:
                return  # more has come, or is read anew
        self._alarm("FEED_WITHHELD", lane, seq)

    async def _differs(self, lane: Lane, here: Sequence[Arrived]) -> None:
        """Something else arrived than was recorded: find the first that was not."""
        for one in here:
            if not await self._disclosed(one):
                self._alarm("FEED_DIFFERS", lane, one.seq, {"leaf": one.leaf})
                return
        self._alarm("FEED_DIFFERS", lane, here[0].seq if here else 0)

    def _known(self, lane: Lane) -> bool:
        """Return whether it waits for a decision that the lane differs."""
        alarms = (a for a in self._trail.alarms() if a.code == "FEED_DIFFERS" and not a.decided)
        return any(f"/{lane}, " in a.about for a in alarms)

    async def _disclosed(self, one: Arrived) -> bool:
        if not one.case_id:
            return False
        try:
            await self._link.disclosed(disclosure_stream(one.case_id), one.leaf)
        except Refused as e:
            if e.code != "NOT_DISCLOSED":
                raise
            return False
        return True

    def _unrecorded(self, lane: Lane, rest: Sequence[Arrived]) -> None:
        """Say that an entry arrived and checkpoints go on without it."""
        if rest and self._overdue.missed((lane, rest[0].seq), self._checkpoints.witnessed_ms):
            self._alarm("FEED_UNRECORDED", lane, rest[0].seq, {"leaf": rest[0].leaf})

    def _alarm(
        self, code: str, lane: Lane, seq: int, evidence: dict[str, bytes] | None = None
    ) -> None:
        about = about_again(self._trail, code, f"seat {self._agency}/{lane}, number {seq}")
        files = dict(evidence or {})
        if self._shown is not None:
            files["feed.epoch"] = self._shown.epoch
            files["feed.tlog-proof"] = self._shown.proof.encode()
            files["feed.map-proof"] = self._shown.map.encode()
        alarm = Alarm(code=code, about=about, raised_ms=self._clock(), evidence=files)
        if self._trail.alarm(alarm):
            log.error("%s: %s", code, about)


def _gap(here: Sequence[Arrived], proven: int) -> int:
    """Return the first number after `proven` that is not here."""
    for seq, one in enumerate(here, proven + 1):
        if one.seq != seq:
            return seq
    return proven + len(here) + 1
