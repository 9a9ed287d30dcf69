"""Random worlds for the consent decision, made to collide.

Few agencies, purposes, referrals and instants, so that every row of the table fires often.
One generator serves hypothesis and a seeded random source: `pick` chooses from a sequence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeVar

from hypothesis import strategies as st

from domain.consent import (
    Act,
    Basis,
    ConsentState,
    Guardian,
    LegalBasis,
    LiveReferral,
    Standing,
)
from domain.decision import Decision, Question, decide
from domain.events import Recipient
from domain.vocabulary import ALL_SEALED, SEALED, Category, Seat, mask_of

T = TypeVar("T")


class Pick(Protocol):
    """Chooses one of the options."""

    def __call__(self, options: Sequence[T], /) -> T: ...


HOME = "TN"
COUNTRIES = (HOME,) * 9 + ("IT",)
AGENCIES = ("agency-a", "agency-b", "agency-c")
STRANGER = "agency-z"
PURPOSES = ("protection_support", "investigation", "health_care")
ROLES = ("police", "health", "service_provider", "consular")
REFERRALS = ("r-1", "r-2")
INSTANTS = tuple(range(0, 9))
"""Times of everything, in milliseconds: near enough that boundaries meet."""
NOW = INSTANTS[2:7]
MASKS = (
    0,
    mask_of(["IDENTITY"]),
    mask_of(["IDENTITY", "HEALTH"]),
    mask_of(["HEALTH", "LEGAL"]),
    ALL_SEALED,
    ALL_SEALED,
    ALL_SEALED,
)
GIVERS = ("self", "legal_guardian", "appointed_guardian", "court", "child_protection")
EVENTS = ("ReferralIntoNrmSubmitted", "DutyNotificationSubmitted")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that a decision looks at, for every seat of it."""

    state: ConsentState
    standings: dict[str, Standing]
    ceilings: dict[tuple[str, str], int]
    legal_bases: tuple[LegalBasis, ...]
    at: int

    def ask(
        self,
        seat: Seat,
        category: Category,
        recorded_ms: int,
        *,
        writer: str,
        at: int | None = None,
    ) -> Decision:
        """Ask the table at `at`, by default the world's own time."""
        return decide(
            Question(seat, category, writer, recorded_ms),
            self.state,
            self.standings[seat.agency],
            self.ceilings,
            self.legal_bases,
            HOME,
            self.at if at is None else at,
        )


def seats() -> Iterator[Seat]:
    """Yield every seat there is, with roles for its purpose or without."""
    return (Seat(agency, purpose) for agency in AGENCIES for purpose in PURPOSES)


def questions() -> Iterator[tuple[Seat, Category, int]]:
    """Yield every (seat, category, recorded_ms) worth asking about."""
    return ((s, c, r) for s in seats() for c in SEALED for r in (0, 3, 5, 8))


def make_world(pick: Pick) -> World:
    """Return a world, every choice made by `pick`."""
    return World(
        state=_state(pick),
        standings={agency: _standing(pick, agency) for agency in AGENCIES},
        ceilings={
            (role, purpose): pick((*MASKS[2:], *(ALL_SEALED,) * 6))
            for role in ROLES
            for purpose in PURPOSES
            if pick((True,) * 5 + (False,))
        },
        legal_bases=tuple(_law(pick, n) for n in range(pick((0, 0, 1, 2)))),
        at=pick(NOW),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw worlds for a property test."""

    def pick(options: Sequence[T]) -> T:
        return draw(st.sampled_from(options))

    return make_world(pick)


def seeded_worlds(count: int) -> Iterator[World]:
    """Yield the same `count` worlds on every run."""
    return (make_world(Random(seed).choice) for seed in range(count))  # noqa: S311 - no secret


def _some(pick: Pick, options: Sequence[str]) -> frozenset[str]:
    return frozenset(option for option in options if pick((True, True, False)))


def _state(pick: Pick) -> ConsentState:
    guardians = [_guardian(pick, n) for n in range(pick((0, 1, 2)))]
    return ConsentState(
        child=pick((False, True)),
        restricted=pick((False,) * 14 + (True,)),
        parts=frozenset(a for a in AGENCIES if pick((True, True, True, True, False))),
        referrals=tuple(
            LiveReferral(id=r, sender=STRANGER, receiver=pick(AGENCIES), purpose=pick(PURPOSES))
            for r in REFERRALS
            if pick((True,) * 5 + (False,))
        ),
        acts=tuple(_act(pick, n) for n in range(pick((1, 4, 6, 8)))),
        guardians={guardian.id: guardian for guardian in guardians},
        happened=_some(pick, EVENTS),
    )


def _guardian(pick: Pick, n: int) -> Guardian:
    return Guardian(
        id=f"g-{n}",
        role=pick(("legal_guardian", "appointed_guardian")),
        valid_from=pick(INSTANTS[:5]),
        valid_to=pick((None, *INSTANTS[4:])),
        conflicted=pick((False, False, True)),
    )


def _recipient(pick: Pick) -> Recipient:
    return pick(
        (
            *(Recipient(agency=AGENCIES[0], kind=None, country=None),) * 3,
            Recipient(agency=AGENCIES[1], kind=None, country=None),
            *(Recipient(agency=None, kind=role, country=None) for role in ROLES),
            Recipient(agency=None, kind="health", country="IT"),
            Recipient(agency=AGENCIES[0], kind="police", country=HOME),
            *(Recipient(agency=None, kind=None, country=HOME),) * 5,
            Recipient(agency=None, kind=None, country=None),
        )
    )


def _act(pick: Pick, n: int) -> Act:
    permit = pick((True, True, True, True, False))
    return Act(
        id=f"c-{n}",
        permit=permit,
        basis=pick((Basis.CONSENT, Basis.CONSENT, *Basis, "hearsay")) if permit else Basis.CONSENT,
        referral_id=pick((None, None, None, *REFERRALS)),
        recipient=_recipient(pick),
        purposes=_some(pick, PURPOSES) if permit or pick((True, False)) else frozenset(),
        categories=pick(MASKS),
        opens_from=pick((0, 0, 2, 3, 5, 6, 8)),
        not_before=pick((0,) * 18 + INSTANTS),
        not_after=pick((None, *INSTANTS[3:], *(99,) * 12)),
        given_by=pick(("self", *("court",) * 5, *GIVERS)),
        guardian_id=pick((None, "g-0", "g-1")),
        evidence=pick((True,) * 6 + (False,)),
        danger=pick((False,) * 7 + (True,)),
        recorded_by=STRANGER,
    )


def _standing(pick: Pick, agency: str) -> Standing:
    return Standing(
        agency=agency if pick((True,) * 19 + (False,)) else STRANGER,
        active=pick((True,) * 19 + (False,)),
        country=pick(COUNTRIES),
        roles={role: _some(pick, PURPOSES) for role in ROLES if pick((True, True, False))},
    )


def _law(pick: Pick, n: int) -> LegalBasis:
    return LegalBasis(
        code=f"LAW-{n}",
        when=pick(("always", "child", *EVENTS)),
        role=pick(ROLES),
        purposes=_some(pick, PURPOSES),
        categories=pick(MASKS),
        part_only=pick((True, False)),
    )
