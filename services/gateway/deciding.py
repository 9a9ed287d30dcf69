"""What people do with an alarm of the trail: hand on its proof, and decide."""

from collections.abc import Iterator

from domain.errors import Malformed, Refused
from domain.feed import LANES
from domain.gateway_trail import SPLIT_VIEW, Alarm, GatewayTrail, Lane, Seen
from domain.trail.checkpoint import Checkpoint
from domain.trail.notes import Note
from domain.vocabulary import Purpose

FOLLOW = ("seen", "shown")
"""After a split view: stay with the log seen first, or go on with the one shown then."""
TRAIL = "trail"
"""After an alarm of a feed: go on from what the trail has of the lane."""
_PAGE = 500


def decide(trail: GatewayTrail, number: int, decided: str, follow: str = "") -> None:
    """Note what was `decided` about an alarm, and by whom.

    After a split view checkpoints are taken again. After an alarm of a feed what is not proven
    of the lane is set aside, read once more and compared anew: a feed is not made whole by a
    decision, and what differs again is an alarm again. To `follow` the trail is to go on from
    what it has, and to look only at what comes after.

    `Refused` NO_SUCH_ALARM, or `Malformed` FOLLOW when a split view does not say which log to
    `follow`, or another alarm says what it cannot.
    """
    alarm = next((a for a in trail.alarms(evidence=True) if a.number == number), None)
    if alarm is None:
        raise Refused("NO_SUCH_ALARM", f"there is no alarm {number}")
    lane = _lane_of(alarm)
    if follow not in (FOLLOW if alarm.code == SPLIT_VIEW else ("", TRAIL) if lane else ("",)):
        message = "a split view takes --follow seen or shown, an alarm of a feed --follow trail"
        raise Malformed("FOLLOW", message)
    seen = None
    if follow == "shown":
        note = alarm.evidence["shown.checkpoint"]
        _, size, root = Checkpoint.parse(Note.decode(note).text)
        seen = Seen(size, root, note)
    anew, adopt = (None, lane) if follow == TRAIL else (lane, None)
    trail.decide(number, decided, seen=seen, anew=anew, adopt=adopt)


def _lane_of(alarm: Alarm) -> Lane | None:
    """Return the lane that an alarm names, if it is about a feed."""
    lanes = (Lane(purpose.value, number) for purpose in Purpose for number in range(LANES))
    return next((lane for lane in lanes if f"/{lane}, " in alarm.about), None)


def exported(trail: GatewayTrail) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of what an agency hands on: receipts, checkpoint, proofs of alarms."""
    after = 0
    while page := trail.receipts(after, _PAGE):
        for number, receipt in page:
            yield f"receipts/{number}.entry", receipt.entry
            yield f"receipts/{number}.tlog-proof", receipt.proof.encode()
        after = page[-1][0]
    if seen := trail.seen():
        yield "checkpoint", seen.note
    for alarm in trail.alarms(evidence=True):
        yield from files_of(alarm)


def files_of(alarm: Alarm) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of what proves an alarm that was read with its evidence."""
    said = f"{alarm.code}\n{alarm.about}\n{alarm.raised_ms}\n{alarm.decided}\n"
    yield f"alarm-{alarm.number}/alarm.txt", said.encode()
    for name, data in alarm.evidence.items():
        yield f"alarm-{alarm.number}/{name}", data
