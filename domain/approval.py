"""What two registrars sign before a registry fact counts, and the check that they did."""

from collections.abc import Callable, Mapping
from dataclasses import fields

from domain import events as ev
from domain.errors import Malformed, NotAuthentic

Verify = Callable[[bytes, bytes, bytes], bool]
"""(Ed25519 public key, message, signature) -> whether the signature holds; never raises."""

APPROVALS_NEEDED = 2
_CONTEXT = b"nrm-registry/1\x00"
_UNSIGNED = frozenset({"head", "approvals", "previous_signature"})


def approval_message(event: ev.RegistryEvent) -> bytes:
    """Return what registrars, and the replaced key, sign.

    "nrm-registry/1" 00, lp(event name), lp(event id), then for each field in order
    lp(field name) and lp(value); lp(x) = u16 length, x. Text is UTF-8, an instant 8 bytes signed
    big-endian, a list the lp of each item. Fields that are None, the head and the signatures
    are left out, so a later optional field changes no older message.
    `Malformed` FIELD_TOO_LONG if a value has more than 65,535 bytes.
    """
    parts = [type(event).__name__, event.head.event_id]
    for f in fields(event):
        value = getattr(event, f.name)
        if f.name not in _UNSIGNED and value is not None:
            parts += [f.name, value]
    return _CONTEXT + b"".join(map(_lp, parts))


def check_approvals(
    approvals: tuple[ev.Approval, ...],
    message: bytes,
    verify: Verify,
    registrars: Mapping[str, bytes],
) -> None:
    """Raise `NotAuthentic` unless two different pinned registrars signed `message`."""
    # Counted by key: one registrar pinned under two names is still one.
    signers = {
        registrars[a.registrar]
        for a in approvals
        if a.registrar in registrars and verify(registrars[a.registrar], message, a.signature)
    }
    if len(signers) < APPROVALS_NEEDED:
        found = f"{len(signers)} of {APPROVALS_NEEDED} registrars' signatures over this fact hold"
        raise NotAuthentic("APPROVALS_MISSING", found)


def _lp(value: object) -> bytes:
    match value:
        case str():
            data = value.encode()
        case int():
            data = value.to_bytes(8, "big", signed=True)
        case bytes():
            data = value
        case tuple():
            data = b"".join(map(_lp, value))
        case _:
            raise TypeError(f"no registry fact holds a {type(value).__name__}")
    if len(data) > 0xFFFF:
        raise Malformed("FIELD_TOO_LONG", f"a field of {len(data)} bytes cannot be approved")
    return len(data).to_bytes(2, "big") + data
