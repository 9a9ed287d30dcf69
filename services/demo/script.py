"""What a story is made of: steps of agencies, each with the answer that it must get."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal
from uuid import UUID, uuid5

from domain.vocabulary import Purpose
from services.demo.cast import AUTHORITY, HEALTH
from services.demo.facts import Facts
from services.demo.people import Person

ACCEPTED = "accepted"
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One action of one agency."""

    agency: str
    type: str
    fields: Mapping[str, Any]
    legal_basis: str
    expect: str = ACCEPTED
    """`accepted`, or the code of the refusal that must come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One case from its first action to the last; the steps are taken in order."""

    number: int
    kind: str
    case_id: str
    steps: tuple[Step, ...]

    def command_id(self, place: int) -> str:
        """Return the id of the step's command: the same in every run of the same story."""
        return str(uuid5(UUID(self.case_id), str(place)))


class Script:
    """A story being written. Instants are relative to `now_ms`, when it is played."""

    def __init__(self, person: Person, facts: Facts, rng: Random, now_ms: int) -> None:
        """Write about `person`; every id comes from `rng`."""
        self.person = person
        self.facts = facts
        self.rng = rng
        self.now_ms = now_ms
        self.steps: list[Step] = []

    def id(self) -> str:
        """Return a new UUID."""
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def in_days(self, days: int) -> int:
        """Return the instant so many days from now, in ms."""
        return self.now_ms + days * DAY_MS

    def text(self, label: str) -> str:
        """Return free text about the person, marked."""
        return f"{self.person.given} {self.person.family}: {self.person.marker(label)}"

    def step(self, agency: str, type: str, *, expect: str = ACCEPTED, **fields: Any) -> None:
        """Add one action."""
        self.steps.append(
            Step(
                agency=agency,
                type=type,
                fields=fields,
                legal_basis=self._legal_basis(agency, type),
                expect=expect,
            )
        )

    def _legal_basis(self, agency: str, type: str) -> str:
        if type == "DutyNotificationSubmitted":
            return "legal_obligation"
        if agency == AUTHORITY:
            return "public_task"
        return "child_protection" if self.person.is_child else "consent"

    def opened(self, agency: str) -> None:
        """The agency opens the case."""
        reason = "signal" if self.facts.by_hotline else "self_identified"
        self.step(agency, "CaseOpened", age_group=self.person.age_group, reason=reason)

    def signalled(self, agency: str) -> None:
        """A sign reaches the agency."""
        self.step(
            agency,
            "SignalReceived",
            immediate_danger=False,
            channel="hotline" if self.facts.by_hotline else "in_person",
            reporter_kind="public" if self.facts.by_hotline else "person_concerned",
            summary=self.text("signal"),
        )

    def informed(self, agency: str) -> None:
        """The person hears how data are used."""
        self.step(
            agency,
            "InformationNoticeGiven",
            notice="notice-gb-1",
            language=self.person.language,
            interpreter=self.person.language != "en",
            understood=True,
        )

    def identity(self, agency: str, *, expect: str = ACCEPTED) -> None:
        """The agency records who the person is."""
        mark = self.person.marker
        number = {"kind": "passport", "number": mark("passport"), "issuer": "GB"}
        self.step(
            agency,
            "PersonIdentityRecorded",
            expect=expect,
            given_names=[self.person.given, mark("given")],
            family_names=[self.person.family, mark("family")],
            other_names=[mark("alias")],
            birth_date=f"{self.person.birth_year}-04-01",
            citizenships=[self.facts.citizenship],
            documents=[number] if self.rng.random() < 1 / 2 else [],
            relatives=[mark("relative")] if self.person.is_child else [],
        )

    def contact(self, agency: str) -> None:
        """The agency records how to reach the person without danger."""
        phone = {"kind": "phone", "address": self.person.marker("phone"), "safe": True}
        self.step(
            agency,
            "SafeContactSet",
            channels=[phone],
            hours=self.text("hours"),
            code_word_hint=self.person.marker("hint"),
            do_not_contact=["post"],
        )

    def consented(
        self,
        agency: str,
        to: str,
        categories: tuple[str, ...],
        *,
        purposes: tuple[str, ...] = (Purpose.PROTECTION_SUPPORT,),
        history: Literal["all", "none"] = "all",
        days: tuple[int, int] = (-1, 180),
        guardian: tuple[str, str] | None = None,
        basis: str | None = None,
        expect: str = ACCEPTED,
    ) -> str:
        """`agency` records a consent that opens `categories` to `to`; return its id.

        `days` are those of its beginning and end; `guardian` is (role, id) of who gave it.
        A `basis` given is best interests, decided by child protection.
        """
        consent_id = self.id()
        given_by = guardian[0] if guardian else "child_protection" if basis else "self"
        self.step(
            agency,
            "ConsentGiven",
            expect=expect,
            consent_id=consent_id,
            recipient={"agency": to},
            purposes=[str(p) for p in purposes],
            categories=list(categories),
            history=history,
            not_before=self.in_days(days[0]),
            not_after=self.in_days(days[1]),
            basis=str(basis or ("guardian_consent" if guardian else "consent")),
            given_by=given_by,
            guardian_id=guardian[1] if guardian else None,
            evidence=self.evidence(),
            words=self.text("consent"),
            language=self.person.language,
            interpreter=self.person.language != "en",
        )
        return consent_id

    def evidence(self) -> str:
        """Return the digest of a signed form that nobody holds."""
        return base64.b64encode(self.rng.randbytes(32)).decode()

    def refused(self, agency: str, to: str, *, danger: bool = False) -> None:
        """The person wants nothing to go to `to`."""
        self.step(
            agency,
            "ConsentRefused",
            consent_id=self.id(),
            recipient={"agency": to},
            purposes=[],
            categories=[],
            danger=danger,
            given_by="self",
            evidence=self.evidence(),
            words=self.text("refusal"),
        )

    def withdrawn(self, agency: str, consent_id: str | None) -> None:
        """The person takes a consent back; None takes back all of them."""
        words = self.text("withdrawal")
        self.step(agency, "ConsentWithdrawn", consent_id=consent_id, given_by="self", words=words)

    def sent(
        self,
        agency: str,
        to: str,
        *,
        purpose: str = Purpose.PROTECTION_SUPPORT,
        expect: str = ACCEPTED,
    ) -> str:
        """`agency` asks `to` to act for the person; return the referral's id."""
        referral_id = self.id()
        self.step(
            agency,
            "ReferralSent",
            expect=expect,
            referral_id=referral_id,
            to=to,
            purpose=str(purpose),
            urgency="urgent" if self.person.is_child else "routine",
            answer_due_at=self.in_days(10),
            service="medical_care" if to == HEALTH else "accommodation",
            reason=self.text("reason"),
        )
        return referral_id

    def accepted(self, agency: str, referral_id: str, *, expect: str = ACCEPTED) -> None:
        """`agency` takes the referral on."""
        self.step(
            agency, "ReferralAccepted", expect=expect, referral_id=referral_id, starts_on=None
        )
