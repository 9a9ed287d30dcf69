"""RFC 3161 time-stamps on rfc3161-client: asked of an authority (TSA) over HTTP, and checked."""

import asyncio
from datetime import UTC
from urllib.parse import urlsplit

import aiohttp
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from domain.errors import Malformed, NotAuthentic, Unavailable
from domain.trail.anchors import Stamped

ANSWER_SECONDS = 10.0
ANSWER_BYTES = 64 * 1024
_QUERY, _TIMESTAMP = "application/timestamp-query", "TIMESTAMP"


class Rfc3161Checks:
    """`StampChecking` under the certificates of a PEM file: an authority's roots and what leads on.

    A time-stamp is in DER to the letter; one that an authority encodes otherwise does not hold.
    """

    def __init__(self, pem: bytes) -> None:
        """Trust these certificates; `Malformed` TSA_CA if they are none."""
        try:
            self._roots = x509.load_pem_x509_certificates(pem)
        except ValueError as e:
            raise Malformed("TSA_CA", "give the authority's certificates as a PEM file") from e

    def time_ms(self, answer: bytes, data: bytes, nonce: int | None = None) -> int:
        """Return when `data` existed; with `nonce`, only if the answer is to that question."""
        try:
            found = decode_timestamp_response(answer)
            VerifierBuilder(roots=self._roots, nonce=nonce).build().verify_message(found, data)
            time = found.tst_info.gen_time.replace(tzinfo=UTC)
        except (ValueError, VerificationError) as e:
            why = str(e).partition(":")[0]
            raise NotAuthentic(_TIMESTAMP, f"the time-stamp does not hold: {why}") from e
        return round(time.timestamp() * 1000)


class HttpTsa:
    """`TimeStamping` at a web address. Blocks: call it in a thread that runs no event loop."""

    def __init__(
        self, address: str, checks: Rfc3161Checks, seconds: float = ANSWER_SECONDS
    ) -> None:
        """Ask at `address`; `Malformed` TSA_URL if it is none."""
        found = urlsplit(address)
        if found.scheme not in {"http", "https"} or not found.hostname:
            raise Malformed("TSA_URL", "NRM_TSA_URL is the http or https address of an authority")
        self._address = address
        self._checks = checks
        self._timeout = aiohttp.ClientTimeout(total=seconds)

    def stamp(self, data: bytes) -> Stamped:
        """Return its time-stamp over SHA-256 of `data`, with a nonce of this question."""
        asked = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
        answer = asyncio.run(self._post(asked.as_bytes()))
        return Stamped(answer, self._checks.time_ms(answer, data, asked.nonce))

    async def _post(self, query: bytes) -> bytes:
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.post(
                    self._address,
                    data=query,
                    headers={"Content-Type": _QUERY},
                    allow_redirects=False,
                ) as response,
            ):
                answer = await response.content.read(ANSWER_BYTES)
                while not response.content.at_eof() and len(answer) < ANSWER_BYTES:
                    answer += await response.content.read(ANSWER_BYTES)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise Unavailable("TSA_AWAY", "the time-stamp authority did not answer in time") from e
        if status != 200:
            raise Unavailable("TSA_AWAY", f"the time-stamp authority answers {status}")
        return answer
