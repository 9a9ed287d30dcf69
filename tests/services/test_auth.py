"""Who is let in: assertions by an agency's key in force, once each, and short-lived tokens."""

from typing import Any
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey
from starlette.requests import Request

from adapters.signing import Ed25519Signing
from domain.errors import NotAuthentic
from services.http.auth import ASSERTION_TYPE, TOKEN_SECONDS, TokenIssuer, b64url

HERE = "https://hub.example"
NOW = 1_800_000_000
SEED = bytes(range(32))
PUBLIC = Ed25519Signing().public_key(SEED)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = NOW

    def __call__(self) -> int:
        return self.seconds * 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(clock: Clock) -> TokenIssuer:
    return TokenIssuer(HERE, {"gb-police": PUBLIC}.get, clock)


def assertion(seed: bytes = SEED, alg: str = "Ed25519", **changes: Any) -> str:
    claims = {
        "iss": "gb-police",
        "sub": "gb-police",
        "aud": HERE,
        "exp": NOW + 60,
        "jti": str(uuid4()),
        **changes,
    }
    key = OKPKey.import_key(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": b64url(Ed25519Signing().public_key(seed)),
            "d": b64url(seed),
        }
    )
    return jwt.encode(
        {"alg": alg}, {k: v for k, v in claims.items() if v is not None}, key, algorithms=[alg]
    )


async def asked(issuer: TokenIssuer, said: str, grant: str = "client_credentials") -> str:
    """Return the agency of the token that the assertion earns."""
    form = f"grant_type={grant}&client_assertion_type={ASSERTION_TYPE}&client_assertion={said}"

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": form.encode()}

    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(b"content-type", b"application/x-www-form-urlencoded")],
    }
    response = await issuer.token(Request(scope, receive))
    assert response.status_code == 200
    return issuer.issue("gb-police")


def bearer(token: str) -> Request:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return Request({"type": "http", "method": "GET", "headers": headers})


async def test_a_fresh_assertion_by_the_agencys_key_earns_a_token(issuer: TokenIssuer) -> None:
    token = await asked(issuer, assertion())
    assert issuer.agency(bearer(token)) == "gb-police"


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": bytes(32)},
        {"iss": "gb-shelter"},
        {"sub": "gb-shelter"},
        {"aud": "https://other.example"},
        {"exp": NOW},
        {"exp": NOW + 3_600},
        {"exp": None},
        {"jti": None},
        {"iss": None},
    ],
    ids=str,
)
async def test_any_other_assertion_does_not(issuer: TokenIssuer, changes: dict[str, Any]) -> None:
    with pytest.raises(NotAuthentic, match="ASSERTION"):
        await asked(issuer, assertion(**changes))


async def test_an_assertion_counts_once(issuer: TokenIssuer) -> None:
    said = assertion()
    await asked(issuer, said)
    with pytest.raises(NotAuthentic, match="ASSERTION"):
        await asked(issuer, said)


@pytest.mark.parametrize("said", ["", "a", "a.b", "a.b.c", "e30.e30.", "....", "e30.bnVsbA.e30"])
async def test_garbage_is_no_assertion(issuer: TokenIssuer, said: str) -> None:
    with pytest.raises(NotAuthentic):
        await asked(issuer, said)


async def test_another_grant_is_refused(issuer: TokenIssuer) -> None:
    with pytest.raises(NotAuthentic, match="TOKEN_REQUEST"):
        await asked(issuer, assertion(), grant="password")


def test_a_token_ends(issuer: TokenIssuer, clock: Clock) -> None:
    token = issuer.issue("gb-police")
    clock.seconds += TOKEN_SECONDS
    with pytest.raises(NotAuthentic, match="TOKEN_EXPIRED"):
        issuer.agency(bearer(token))


@pytest.mark.parametrize("place", [0, 10, -2, -20])
def test_a_token_that_was_altered_is_none(issuer: TokenIssuer, place: int) -> None:
    token = list(issuer.issue("gb-police"))
    token[place] = "A" if token[place] != "A" else "B"
    with pytest.raises(NotAuthentic, match="TOKEN_MISSING"):
        issuer.agency(bearer("".join(token)))


@pytest.mark.parametrize("token", ["", ".", "x", "é", "a.b", "a" * 10_000])
def test_garbage_is_no_token(issuer: TokenIssuer, token: str) -> None:
    with pytest.raises(NotAuthentic, match="TOKEN_MISSING"):
        issuer.agency(bearer(token))
