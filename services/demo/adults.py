"""The stories of adults: consent in every state that it can be in, and what it leads to."""

from domain.vocabulary import Purpose
from services.demo import stages as st
from services.demo.cast import AUTHORITY, HEALTH, POLICE, SHELTER
from services.demo.script import Script


def identified(s: Script) -> None:
    """Consent to the authority, and the way to its decisions."""
    st.begun(s, POLICE)
    s.consented(POLICE, AUTHORITY, st.AUTHORITY_SEES)
    s.identity(POLICE)
    st.referred_in(s, POLICE)
    st.presumed(s)
    if s.rng.random() < 1 / 3:
        st.identified(s)


def whole_way(s: Script) -> None:
    """From the first sign to the final decision, with shelter, service and feedback."""
    s.signalled(POLICE)
    st.begun(s, POLICE)
    s.consented(POLICE, AUTHORITY, st.AUTHORITY_SEES)
    s.identity(POLICE)
    s.contact(POLICE)
    st.referred_in(s, POLICE)
    st.presumed(s)
    referral = st.placed(s, POLICE)
    st.assessed(s, SHELTER)
    st.served_by(s, SHELTER, referral)
    st.reported(s, SHELTER, referral)
    st.identified(s)


def supported(s: Script) -> None:
    """Shelter without any referral into the mechanism: help depends on no status."""
    st.begun(s, POLICE)
    s.identity(POLICE)
    referral = st.placed(s, POLICE)
    st.served_by(s, SHELTER, referral)
    if s.rng.random() < 1 / 2:
        st.reported(s, SHELTER, referral)


def cared_for(s: Script) -> None:
    """Health care on a consent of its own, which opens what was assessed before."""
    st.begun(s, SHELTER)
    st.assessed(s, SHELTER)
    referral = st.treated(s, SHELTER)
    st.reported(s, HEALTH, referral)


def several_receivers(s: Script) -> None:
    """Two receivers, each with categories of its own."""
    st.begun(s, POLICE)
    s.contact(POLICE)
    st.placed(s, POLICE)
    st.treated(s, POLICE)


def narrowed(s: Script) -> None:
    """The person takes back a part; what comes after is no longer shown, and it never grows."""
    st.begun(s, POLICE)
    consent = s.consented(POLICE, SHELTER, st.SHELTER_SEES)
    referral = s.sent(POLICE, SHELTER)
    s.accepted(SHELTER, referral)
    for categories, expect in (
        (["IDENTITY"], "accepted"),
        (["IDENTITY", "CONTACT"], "WIDER_THAN_BEFORE"),
    ):
        s.step(
            POLICE,
            "ConsentNarrowed",
            expect=expect,
            consent_id=consent,
            purposes=["protection_support"],
            categories=categories,
            evidence=s.evidence(),
            words=s.text("narrowing"),
        )
    s.contact(POLICE)


def renewed(s: Script) -> None:
    """A consent for a month is given again for longer."""
    st.begun(s, POLICE)
    consent = s.consented(POLICE, SHELTER, st.SHELTER_SEES, days=(-1, 30), history="none")
    referral = s.sent(POLICE, SHELTER)
    s.accepted(SHELTER, referral)
    s.step(
        POLICE,
        "ConsentRenewed",
        consent_id=consent,
        not_after=s.in_days(200),
        evidence=s.evidence(),
        words=s.text("renewal"),
    )
    s.identity(POLICE)


def refused(s: Script) -> None:
    """The person refuses the mechanism and is sheltered all the same."""
    st.begun(s, POLICE)
    s.refused(POLICE, AUTHORITY)
    st.referred_in(s, POLICE, expect="REFUSED_BY_PERSON")
    st.notified(s, POLICE)
    st.placed(s, POLICE)


def withdrawn_before(s: Script) -> None:
    """Taken back before the receiver answered: the acceptance comes too late."""
    st.begun(s, POLICE)
    consent = s.consented(POLICE, SHELTER, st.SHELTER_SEES)
    referral = s.sent(POLICE, SHELTER)
    s.withdrawn(POLICE, consent)
    s.accepted(SHELTER, referral, expect="CONSENT_MISSING")
    s.step(POLICE, "ReferralCancelled", referral_id=referral, reason="consent_withdrawn")
    s.identity(POLICE)


def withdrawn_after(s: Script) -> None:
    """Taken back after the receiver had seen much: from here on it sees nothing of others."""
    st.begun(s, POLICE)
    s.identity(POLICE)
    st.placed(s, POLICE)
    s.withdrawn(SHELTER, None)
    s.contact(POLICE)


def cooperating(s: Script) -> None:
    """Cooperation with the police is an act of its own."""
    s.signalled(SHELTER)
    st.begun(s, SHELTER)
    both = (Purpose.PROTECTION_SUPPORT, Purpose.INVESTIGATION)
    s.consented(SHELTER, POLICE, st.POLICE_SEES, purposes=both, expect="BUNDLED_CONSENT")
    s.consented(SHELTER, POLICE, st.POLICE_SEES, purposes=both[1:])
    referral = s.sent(SHELTER, POLICE, purpose=Purpose.INVESTIGATION)
    s.step(POLICE, "ReferralReceived", referral_id=referral)
    s.accepted(POLICE, referral)


def endangered(s: Script) -> None:
    """The person fears somebody at the police: no consent opens anything to them."""
    st.begun(s, SHELTER)
    s.refused(SHELTER, POLICE, danger=True)
    investigation = Purpose.INVESTIGATION
    s.consented(SHELTER, POLICE, st.POLICE_SEES, purposes=(investigation,))
    s.sent(SHELTER, POLICE, purpose=investigation, expect="DANGER_LISTED")
    st.treated(s, SHELTER)


def declined(s: Script) -> None:
    """One agency has no room, another has."""
    st.begun(s, HEALTH)
    s.consented(HEALTH, POLICE, ("IDENTITY", "PROTECTION"))
    referral = s.sent(HEALTH, POLICE)
    s.step(POLICE, "ReferralDeclined", referral_id=referral, reason="outside_mandate")
    st.placed(s, HEALTH)


def cancelled(s: Script) -> None:
    """Taken back by the sender: to the receiver the case is gone."""
    st.begun(s, POLICE)
    s.identity(POLICE)
    s.consented(POLICE, SHELTER, st.SHELTER_SEES)
    referral = s.sent(POLICE, SHELTER)
    s.step(POLICE, "ReferralCancelled", referral_id=referral, reason="need_met")
    s.accepted(SHELTER, referral, expect="NO_SUCH_CASE")


def without_consent(s: Script) -> None:
    """Nothing goes out before the person was informed and asked."""
    s.opened(POLICE)
    s.sent(POLICE, SHELTER, expect="CONSENT_MISSING")
    s.consented(POLICE, SHELTER, st.SHELTER_SEES, expect="NOT_INFORMED")
    s.informed(POLICE)
    st.placed(s, POLICE)
    s.identity(POLICE)


def not_yet(s: Script) -> None:
    """A consent for next month opens nothing today."""
    st.begun(s, POLICE)
    s.consented(POLICE, SHELTER, st.SHELTER_SEES, days=(30, 180))
    s.sent(POLICE, SHELTER, expect="CONSENT_NOT_YET")
    st.placed(s, POLICE)


def stranger(s: Script) -> None:
    """An agency without a part is told that there is no such case."""
    st.begun(s, POLICE)
    s.identity(HEALTH, expect="NO_SUCH_CASE")
    s.consented(POLICE, AUTHORITY, st.AUTHORITY_SEES)
    st.referred_in(s, POLICE)
    st.presumed(s)


def reconsidered(s: Script) -> None:
    """A negative decision is looked at again and set aside."""
    st.begun(s, POLICE)
    s.consented(POLICE, AUTHORITY, st.AUTHORITY_SEES)
    st.referred_in(s, POLICE)
    st.decided(s, "Reasonable", "negative")
    st.served(s, "reasonable_grounds")
    which = "reasonable_grounds"
    s.step(POLICE, "ReconsiderationRequested", decision=which, late=False, grounds="new_evidence")
    s.step(
        AUTHORITY,
        "ReconsiderationDecided",
        decision=which,
        outcome="reopened",
        reasons=s.text("reopened"),
    )
    st.decided(s, "Reasonable", "positive")


def notified_only(s: Script) -> None:
    """A duty to notify and no consent: the authority asks, and the answer stays shut to it."""
    s.signalled(POLICE)
    s.opened(POLICE)
    st.screened(s, POLICE)
    st.notified(s, POLICE)
    request = s.id()
    s.step(
        AUTHORITY,
        "FurtherInformationRequested",
        request_id=request,
        to=POLICE,
        due_at=s.in_days(5),
        items=["indicators"],
    )
    answer = s.text("answer")
    s.step(POLICE, "FurtherInformationProvided", request_id=request, answer=answer)


def closed(s: Script) -> None:
    """After closing nothing new is recorded, but consent can still be taken back."""
    st.begun(s, POLICE)
    s.consented(POLICE, AUTHORITY, st.AUTHORITY_SEES)
    st.referred_in(s, POLICE)
    st.decided(s, "Reasonable", "negative")
    s.step(AUTHORITY, "CaseClosed", reason="negative_final")
    s.identity(POLICE, expect="CASE_CLOSED")
    s.withdrawn(POLICE, None)
