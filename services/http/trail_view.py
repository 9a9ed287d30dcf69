"""What people read about the trail: pure functions from a gateway's report to words.

On the pages of a case there is no word that only an auditor knows. Nothing is said as long as
there is nothing to act on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.gateway_trail import SPLIT_VIEW, Alarm
from domain.own_acts import OwnAct
from services.gateway.trail_report import FALSE, Act, State
from services.http import words

_DECIDES = "One of the two is false. Nothing newer of it is believed here until a person decides."
_CALL = (
    "You can go on working: sending and reading do not wait for it. Tell your supervisor now, who"
    " calls the data protection officer and the rapporteur. Runbook: NrmTrailAlarm."
)
_RUNS = "Tell whoever runs your gateway. Runbook:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """Something to act on, shown on every page."""

    kind: str
    """refused (an alarm) or queued (a warning)."""
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActView:
    """How one own act stands in the trail."""

    kind: str
    """good, muted or bad."""
    text: str
    place: int | None
    """What an auditor asks for; its proof can be had when it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmView:
    """One alarm, as whoever has to decide sees it."""

    number: int
    raised: str
    title: str
    code: str
    about: str
    act: str
    """The own act it is about, if it is about one; likewise its case."""
    case_id: str
    decided: str
    split: bool
    files: int


def banners(state: State, now: int) -> tuple[Banner, ...]:
    """Return what there is to act on at `now` (ms); nothing when all is well."""
    split = any(a.code == SPLIT_VIEW for a in state.alarms)
    return (
        *([_alarmed(state.alarms, split=split)] if state.alarms else ()),
        *(() if split else _late(state, now)),
    )


def unreadable(code: str) -> Banner:
    """Return what is said when the gateway cannot read what it keeps of the trail."""
    title = f"What your gateway knows of the trail cannot be read ({code})."
    return Banner(kind="queued", title=title, lines=(f"{_RUNS} NrmNotReady.",))


def act_view(act: Act, now: int) -> ActView:
    """Return how an own act stands in the trail at `now` (ms)."""
    kind, text = _standing(act, now)
    return ActView(kind=kind, text=text, place=act.place)


def alarm_view(alarm: Alarm, act: OwnAct | None) -> AlarmView:
    """Return one alarm in words, and the own act it is about."""
    return AlarmView(
        number=alarm.number,
        raised=words.when(alarm.raised_ms),
        title=words.trail_alarm(alarm.code),
        code=alarm.code,
        about=alarm.about,
        act=words.title(act.type.rpartition(".")[2]) if act else "",
        case_id=act.case_id if act else "",
        decided=alarm.decided,
        split=alarm.code == SPLIT_VIEW,
        files=len(alarm.evidence),
    )


def _alarmed(alarms: Sequence[Alarm], *, split: bool) -> Banner:
    codes = sorted({a.code for a in alarms}, key=lambda code: (code != SPLIT_VIEW, code))
    title, *more = dict.fromkeys(map(words.trail_alarm, codes))
    lines = (*([_DECIDES] if split else ()), *more, _CALL)
    return Banner(kind="refused", title=title, lines=lines)


def _late(state: State, now: int) -> Iterable[Banner]:
    why = f" ({state.code})." if state.code else "."
    if state.behind_since_ms is not None:
        lines = (
            "What you do is recorded and kept, and is proven once the trail is back. Until then"
            " a false version of it would not be noticed here.",
            f"{_RUNS} NrmCheckpointOld{why}",
        )
        lasts = words.lasting(now - state.behind_since_ms)
        yield Banner(kind="queued", title=f"The trail has been behind for {lasts}.", lines=lines)
    elif state.unproven_since_ms is not None:
        lasts = words.lasting(now - state.unproven_since_ms)
        title = f"An act of your agency has waited {lasts} for its proof."
        lines = ("It is recorded, and nothing is lost.", f"{_RUNS} NrmReceiptMissing{why}")
        yield Banner(kind="queued", title=title, lines=lines)


def _standing(act: Act, now: int) -> tuple[str, str]:
    alarm = act.alarm
    if act.fault:
        return "bad", f"Its proof cannot be verified ({act.fault}): tell your supervisor"
    if act.place is not None:
        since = f" since {words.when(act.since_ms)}" if act.since_ms is not None else ""
        return "good", f"In the trail{since}"
    if alarm is None:
        return "muted", "Waiting for the trail"
    if alarm.decided:
        return "muted", f"Not proven in the trail; alarm {alarm.number} was decided"
    if alarm.code == FALSE:
        wrong = "In the trail otherwise than your agency did it"
    else:
        wrong = f"Not in the trail after {words.lasting(now - act.own.recorded_ms)}"
    return "bad", f"{wrong}: tell your supervisor (alarm {alarm.number})"
