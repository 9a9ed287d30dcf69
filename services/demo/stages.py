"""Longer pieces of a story: the way into the mechanism, the service, the guardian."""

from domain.vocabulary import Purpose
from services.demo.cast import AUTHORITY, HEALTH, POLICE, SHELTER
from services.demo.script import ACCEPTED, Script

AUTHORITY_SEES = ("IDENTITY", "CONTACT", "EXPLOITATION", "LEGAL")
SHELTER_SEES = ("IDENTITY", "CONTACT", "PROTECTION")
HEALTH_SEES = ("IDENTITY", "HEALTH", "PROTECTION")
POLICE_SEES = ("IDENTITY", "EXPLOITATION")


def begun(s: Script, agency: str) -> None:
    """The agency opens the case and informs the person."""
    s.opened(agency)
    s.informed(agency)


def referred_in(s: Script, agency: str, *, expect: str = ACCEPTED) -> None:
    """The agency refers the person into the mechanism."""
    s.step(
        agency,
        "ReferralIntoNrmSubmitted",
        expect=expect,
        competent_authority=AUTHORITY,
        age_group=s.person.age_group,
        exploitation=list(s.facts.exploitation),
        means_of_control=list(s.facts.means),
        narrative=_narrative(s),
        others_affected=s.rng.randrange(4),
        police_reference=s.person.marker("police") if agency == POLICE else None,
        statistics=statistics(s),
    )


def statistics(s: Script) -> dict[str, object]:
    """Return the coded facts that a rapporteur counts."""
    return {
        "sex": s.facts.sex,
        "age_band": s.facts.age_band,
        "citizenship": s.facts.citizenship,
        "exploitation": list(s.facts.exploitation),
        "area": s.facts.area,
    }


def _narrative(s: Script) -> str:
    told = (
        "was promised work and a room by somebody met online.",
        "was driven for two nights and told to pay for the journey first.",
        "was not allowed to keep papers or to call home.",
        "left when a neighbour asked whether everything was well.",
        "says that others are still there.",
    )
    return " ".join([s.text("narrative"), *s.rng.sample(told, 3)])


def screened(s: Script, agency: str) -> None:
    """The agency looks for indicators and finds some."""
    s.step(
        agency,
        "IndicatorScreeningCompleted",
        result="indicated",
        tool="national indicators",
        interpreter=False,
        indicators=["documents_withheld", "debt"],
    )


def notified(s: Script, agency: str) -> None:
    """The agency does its duty to notify; who the person is stays out of it."""
    s.step(
        agency,
        "DutyNotificationSubmitted",
        competent_authority=AUTHORITY,
        reason_no_consent="refused",
        statistics=statistics(s),
    )


def acknowledged(s: Script) -> None:
    """The authority confirms that the referral arrived."""
    s.step(
        AUTHORITY,
        "ReferralAcknowledged",
        decision_due_at=s.in_days(7),
        reference=s.person.marker("reference"),
    )


def decided(s: Script, which: str, outcome: str) -> None:
    """The authority decides on reasonable or conclusive grounds."""
    s.step(AUTHORITY, f"{which}GroundsDecided", outcome=outcome, reasons=s.text("reasons"))


def served(s: Script, which: str) -> None:
    """The newest decision of the kind reaches the person."""
    s.step(
        AUTHORITY,
        "DecisionServed",
        decision=which,
        served_at=s.now_ms,
        channel="through_support_worker",
        to="person",
    )


def presumed(s: Script) -> None:
    """Acknowledgement, a positive first decision and the recovery period."""
    acknowledged(s)
    decided(s, "Reasonable", "positive")
    s.step(AUTHORITY, "RecoveryPeriodGranted", starts_at=s.now_ms, ends_at=s.in_days(45))


def identified(s: Script) -> None:
    """A positive final decision, served."""
    decided(s, "Conclusive", "positive")
    served(s, "conclusive_grounds")


def assessed(s: Script, agency: str) -> None:
    """The agency assesses needs and risks."""
    s.step(
        agency,
        "NeedsAssessed",
        needs=["safe_accommodation", f"x-{s.person.marker('need')}"],
        risk=s.rng.choice(("low", "medium", "high")),
        health_needs=["general_health", f"x-{s.person.marker('health')}"],
        review_due=None,
    )


def served_by(s: Script, agency: str, referral_id: str) -> None:
    """The receiver begins its service."""
    service = "medical_care" if agency == HEALTH else "accommodation"
    s.step(agency, "ServiceStarted", referral_id=referral_id, service=service)


def reported(s: Script, agency: str, referral_id: str) -> None:
    """The receiver tells the referrer what came of it."""
    s.step(
        agency,
        "ReferralOutcomeReported",
        referral_id=referral_id,
        outcome="need_met",
        next_step=s.text("next"),
    )


def placed(s: Script, sender: str) -> str:
    """Consent to the shelter, referral and acceptance; return the referral's id."""
    s.consented(sender, SHELTER, SHELTER_SEES)
    referral_id = s.sent(sender, SHELTER)
    s.accepted(SHELTER, referral_id)
    return referral_id


def treated(s: Script, sender: str) -> str:
    """Consent to the health body for care, referral and acceptance; return the referral's id."""
    care = Purpose.HEALTH_CARE
    s.consented(sender, HEALTH, HEALTH_SEES, purposes=(care,))
    referral_id = s.sent(sender, HEALTH, purpose=care)
    s.accepted(HEALTH, referral_id)
    return referral_id


def guardian(s: Script, role: str) -> tuple[str, str]:
    """The shelter records a guardian; return (role, id)."""
    guardian_id = s.id()
    s.step(
        SHELTER,
        "GuardianAppointed",
        guardian_id=guardian_id,
        role=role,
        valid_from=s.in_days(-1),
        name=s.text("guardian"),
        order=s.person.marker("order"),
    )
    return role, guardian_id
