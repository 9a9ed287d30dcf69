"""Whether the times in a log can be: nobody outside saw an entry before it was recorded.

The hub's clock says when an entry was recorded; witnesses say by their own when they saw the
log. An entry whose time lies well after theirs is dated forward, or the hub's clock ran ahead.
"""

from domain.trail.admission import CLOCK_AHEAD_MS
from domain.trail.quorum import Policy, Witnessed
from services.auditor.report import Report, time_of

CLOCK = "CLOCK"


def check_clocks(
    witnessed: Witnessed, policy: Policy, recorded_ms: int, report: Report, entry: int | None = None
) -> None:
    """Report whether a quorum saw the log after an entry was recorded, at `recorded_ms`.

    It is the newest, or the one at the index `entry`. Clocks may be `CLOCK_AHEAD_MS` apart. A
    witness that is further behind counts as one that has not signed: one clock that is wrong
    spoils no evidence that others carry.
    """
    times = witnessed.cosigned_s
    if not times:
        return
    early = sorted(name for name, s in times.items() if ahead(recorded_ms, 1000 * s))
    which = "the newest entry" if entry is None else "it"
    said = f"{which} was recorded at {time_of(recorded_ms // 1000)}"
    if early and not policy.satisfied(times.keys() - early):
        seen = ", ".join(f"{name} saw it at {time_of(times[name])}" for name in early)
        at = witnessed.checkpoint.size - 1 if entry is None else entry
        report.find(CLOCK, f"{said}, yet {seen}: it is dated forward, or a clock is wrong", at)
        return
    if early:
        report.notes.append(f"{said}; the clock of {', '.join(early)} is behind that")
    report.holds(CLOCK, f"{said}, no later than witnesses saw it, give or take ten minutes")


def ahead(recorded_ms: int, seen_ms: int) -> bool:
    """Say whether what was seen then was recorded too late for that, as far as clocks agree."""
    return recorded_ms > seen_ms + CLOCK_AHEAD_MS
