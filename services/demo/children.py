"""The stories of children, and of those who may be: the law opens, guardians are watched."""

from domain.consent import Basis
from domain.vocabulary import Purpose
from services.demo import stages as st
from services.demo.cast import HEALTH, POLICE, SHELTER
from services.demo.script import Script

_CARE = Purpose.HEALTH_CARE


def referred(s: Script) -> None:
    """Into the mechanism and to child protection without consent, on the law's basis."""
    st.begun(s, POLICE)
    s.identity(POLICE)
    st.referred_in(s, POLICE)
    st.presumed(s)
    referral = s.sent(POLICE, SHELTER)
    s.accepted(SHELTER, referral)
    st.guardian(s, "appointed_guardian")


def with_guardian(s: Script) -> None:
    """An appointed guardian consents to health care."""
    s.opened(SHELTER)
    guardian = st.guardian(s, "appointed_guardian")
    s.informed(SHELTER)
    st.assessed(s, SHELTER)
    s.consented(SHELTER, HEALTH, st.HEALTH_SEES, purposes=(_CARE,), guardian=guardian)
    referral = s.sent(SHELTER, HEALTH, purpose=_CARE)
    s.accepted(HEALTH, referral)


def guardian_in_conflict(s: Script) -> None:
    """A guardian who may be part of the harm no longer counts; another is appointed."""
    s.opened(SHELTER)
    first = st.guardian(s, "legal_guardian")
    s.informed(SHELTER)
    s.consented(SHELTER, HEALTH, st.HEALTH_SEES, purposes=(_CARE,), guardian=first)
    s.step(SHELTER, "GuardianConflictFound", guardian_id=first[1], details=s.text("conflict"))
    s.sent(SHELTER, HEALTH, purpose=_CARE, expect="GUARDIAN_ACT_MISSING")
    second = st.guardian(s, "appointed_guardian")
    s.consented(SHELTER, HEALTH, st.HEALTH_SEES, purposes=(_CARE,), guardian=second)
    referral = s.sent(SHELTER, HEALTH, purpose=_CARE)
    s.accepted(HEALTH, referral)


def assenting(s: Script) -> None:
    """A child's own yes is recorded and does not count alone; best interests decide."""
    st.begun(s, SHELTER)
    s.identity(SHELTER)
    s.consented(SHELTER, HEALTH, st.HEALTH_SEES, purposes=(_CARE,))
    s.sent(SHELTER, HEALTH, purpose=_CARE, expect="GUARDIAN_ACT_MISSING")
    s.consented(SHELTER, HEALTH, st.HEALTH_SEES, purposes=(_CARE,), basis=Basis.BEST_INTERESTS)
    referral = s.sent(SHELTER, HEALTH, purpose=_CARE)
    s.accepted(HEALTH, referral)
