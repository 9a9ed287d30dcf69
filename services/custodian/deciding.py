"""What the custodian's people do with a split view: hand on its proof, and decide."""

from collections.abc import Iterator, Sequence

from domain.custody import Custody, SeenLog, Split
from domain.errors import Malformed, Refused
from domain.trail.checkpoint import Checkpoint
from domain.trail.notes import Note

FOLLOW = ("seen", "shown")
"""Stay with the log seen first, or go on with the one shown then."""


def decide(custody: Custody, vkey: str, decided: str, follow: str) -> None:
    """Note what was `decided` about the split view that waits, and by whom; go on after it.

    `Refused` NO_SPLIT_VIEW when none waits, `Malformed` FOLLOW when it is not said which log to
    follow. What was proven by a log that is followed no more is proven again, or taken back.
    """
    waiting = next((s for s in custody.splits(vkey) if not s.decided), None)
    if waiting is None:
        raise Refused("NO_SPLIT_VIEW", "no split view waits for a decision; nothing is changed")
    if follow not in FOLLOW:
        raise Malformed("FOLLOW", "say which log to follow: seen or shown")
    seen = None
    if follow == "shown":
        _, size, root = checkpoint_of(waiting.shown)
        seen = SeenLog(size, root, waiting.shown, None)
    custody.decide(vkey, decided, seen)


def evidence(splits: Sequence[Split]) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of what the custodian hands on of split views, oldest first."""
    for number, split in enumerate(splits, 1):
        yield f"split-{number}/seen.checkpoint", split.seen
        yield f"split-{number}/shown.checkpoint", split.shown


def checkpoint_of(note: bytes) -> Checkpoint:
    """Return what a note says that was verified when it was kept."""
    return Checkpoint.parse(Note.decode(note).text)
