"""OAuth 2.0 client credentials with `private_key_jwt` (RFC 6749, RFC 7523).

An agency proves itself with its Ed25519 key; the access token it gets is short-lived and
checked by MAC, so that a request costs no second signature.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from functools import lru_cache

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import NotAuthentic
from domain.secret import Secret
from services.http.problems import json_response

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_SECONDS = 600
CLOCKS_APART_SECONDS = 120
"""How far the clocks of the hubs that share a secret may differ."""
_ASSERTION_SECONDS = 300
_MAC = hashlib.sha256


def b64url(data: bytes) -> str:
    """Return base64url without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class TokenIssuer:
    """Turns assertions into access tokens and access tokens into agency ids.

    A client that gets 401 proves itself again. With `secret`, which the hubs of one mechanism
    share, a token holds at each of them; without it tokens die with the process.
    """

    def __init__(
        self,
        audience: str,
        key_of: Callable[[str], bytes | None],
        clock: Callable[[], int],
        secret: Secret | None = None,
    ) -> None:
        """`key_of` gives an agency's signing key in force; `clock` milliseconds."""
        self._audience = audience
        self._key_of = key_of
        self._clock = clock
        self._secret = secret.reveal() if secret else secrets.token_bytes(32)
        self._used: dict[str, int] = {}
        self._said = lru_cache(maxsize=1024)(self._proven)

    async def token(self, request: Request) -> Response:
        """Answer the token request (RFC 6749 section 4.4)."""
        form = await request.form()
        grant, kind = form.get("grant_type"), form.get("client_assertion_type")
        assertion = form.get("client_assertion")
        if (
            grant != "client_credentials"
            or kind != ASSERTION_TYPE
            or not isinstance(assertion, str)
        ):
            raise NotAuthentic("TOKEN_REQUEST", "send client_credentials with a client_assertion")
        agency = self._prove(assertion)
        answer = {
            "access_token": self.issue(agency),
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
        }
        return json_response(answer)

    def issue(self, agency: str) -> str:
        """Return an access token of `agency`."""
        expires = self._clock() // 1000 + TOKEN_SECONDS
        said = f"{expires}.{agency}"
        return b64url(said.encode()) + "." + b64url(self._mac(said))

    def agency(self, request: Request) -> str:
        """Return the agency whose token the request carries, or raise `NotAuthentic`."""
        expires, agency = self._said(request.headers.get("authorization", ""))
        now = self._clock() // 1000
        if now >= expires:
            raise NotAuthentic("TOKEN_EXPIRED", "get a new access token from /oauth/token")
        if now + TOKEN_SECONDS + CLOCKS_APART_SECONDS < expires:
            raise NotAuthentic("TOKEN_AHEAD", "the clock here, or where it was issued, is wrong")
        return agency

    def _proven(self, authorization: str) -> tuple[int, str]:
        """Return what a token of ours says: when it expires and whose it is."""
        scheme, _, token = authorization.partition(" ")
        body, _, mac = token.partition(".")
        try:
            said = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()
            given = base64.urlsafe_b64decode(mac + "=" * (-len(mac) % 4))
        except ValueError:
            said, given = "", b""
        if scheme != "Bearer" or not hmac.compare_digest(given, self._mac(said)):
            raise NotAuthentic("TOKEN_MISSING", "get an access token from /oauth/token")
        expires, _, agency = said.partition(".")
        return int(expires), agency

    def _mac(self, said: str) -> bytes:
        return hmac.digest(self._secret, said.encode(), _MAC)

    def _prove(self, assertion: str) -> str:
        """Return the agency that signed `assertion`; it counts once, and for minutes only."""
        refused = NotAuthentic("ASSERTION", "sign a fresh assertion with the agency's key in force")
        try:
            key = self._key(assertion)
            claims = jwt.decode(assertion, key, algorithms=["Ed25519"]).claims
        except (JoseError, ValueError, TypeError, LookupError) as e:
            raise refused from e
        now = self._clock() // 1000
        issuer, expires, once = claims.get("iss"), claims.get("exp"), claims.get("jti")
        fresh = isinstance(expires, int) and now < expires <= now + _ASSERTION_SECONDS
        right = claims.get("aud") == self._audience and claims.get("sub") == issuer
        if not (fresh and right and isinstance(issuer, str) and isinstance(once, str)):
            raise refused
        self._used = {j: until for j, until in self._used.items() if until > now}
        if once in self._used:
            raise refused
        self._used[once] = expires if isinstance(expires, int) else 0
        return issuer

    def _key(self, assertion: str) -> OKPKey:
        """Return the key of whom the assertion says it is by; the signature has yet to hold."""
        payload = assertion.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        key = self._key_of(claims["iss"])
        if key is None:
            raise KeyError(claims["iss"])
        return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": b64url(key)})
