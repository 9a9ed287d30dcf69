"""A peer over HTTP fills no memory, whatever it answers, and leads nobody anywhere else."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.http_challenges import HttpChallengeLink
from adapters.http_disclosures import HttpDisclosureLink
from adapters.http_links import HttpCustodianLink, HttpGatewayLink, HttpHubLink
from adapters.http_trail import FILE_BYTES, HttpTrailLink
from adapters.trail_source import AgencyTokens
from domain.errors import Unavailable
from domain.notary import SignedStatement
from domain.secret import Secret

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
PROOF = "gb-shelter", bytes(32), Secret(bytes(32))
NAMED = *PROOF, "a token"
SIGNED = SignedStatement(statement=b"", signature=b"", body=b"")


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """Serve what `answer` writes to every request; yield the address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(1 << 18))
        await writer.drain()


def with_body(body: bytes, *headers: str) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)

    return answer


QUESTIONS: dict[str, tuple[Callable[[str], Any], Callable[[Any], Awaitable[object]]]] = {
    "feed": (lambda a: HttpHubLink(a, *NAMED), lambda it: it.feed("police", "", 0)),
    "releases": (lambda a: HttpCustodianLink(a, *NAMED), lambda it: it.releases(0, 0)),
    "events": (lambda a: HttpGatewayLink(a, "a token"), lambda it: it.events(0, 0)),
    "file": (lambda a: HttpTrailLink(a, *NAMED), lambda it: it.file("checkpoint")),
    "receipt": (lambda a: HttpTrailLink(a, *NAMED), lambda it: it.receipt(bytes(32), bytes(32))),
    "disclosures": (lambda a: HttpDisclosureLink(a, *NAMED), lambda it: it.disclosures("case", 0)),
    "registry": (lambda a: HttpDisclosureLink(a, *NAMED), lambda it: it.registry(0)),
    "challenge": (lambda a: HttpChallengeLink(a, *NAMED), lambda it: it.challenge(SIGNED)),
    "token": (lambda a: AgencyTokens(a, *NAMED), lambda it: it.fetch()),
    "first token": (lambda a: HttpHubLink(a, *PROOF), lambda it: it.registry(0)),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_of_an_answer_without_end_no_more_than_the_limit_is_read(question: str) -> None:
    make, ask = QUESTIONS[question]
    async with answering(endless) as address:
        peer = make(address)
        with pytest.raises(Unavailable, match="PEER_TOO_LARGE"):
            await ask(peer)
        await peer.close()


async def test_an_answer_of_just_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    async with answering(with_body(bytes(FILE_BYTES))) as address:
        peer = HttpTrailLink(address, *NAMED)
        assert await peer.file("checkpoint") == bytes(FILE_BYTES)
        await peer.close()
    async with answering(with_body(bytes(FILE_BYTES + 1))) as address:
        peer = HttpTrailLink(address, *NAMED)
        with pytest.raises(Unavailable, match="PEER_TOO_LARGE"):
            await peer.file("checkpoint")
        await peer.close()


async def test_a_compressed_answer_is_not_unpacked() -> None:
    packed = gzip.compress(bytes(FILE_BYTES * 4))
    async with answering(with_body(packed, "Content-Encoding: gzip")) as address:
        peer = HttpTrailLink(address, *NAMED)
        assert await peer.file("checkpoint") == packed
        await peer.close()


def leading_to(address: str, status: int) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} Elsewhere", f"Location: {address}/", "Content-Length: 0"]
        writer.write("\r\n".join([*lines, "", ""]).encode())

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("question", QUESTIONS)
async def test_nothing_goes_to_where_a_peer_redirects(question: str, status: int) -> None:
    """Given a peer that answers with a redirect, its error names the peer; nobody else is asked."""
    make, ask = QUESTIONS[question]
    asked: list[str] = []

    async def elsewhere(writer: asyncio.StreamWriter) -> None:
        asked.append("elsewhere")
        await with_body(b"{}")(writer)

    async with answering(elsewhere) as other, answering(leading_to(other, status)) as address:
        peer = make(address)
        with pytest.raises(Unavailable, match="PEER_REDIRECTS") as caught:
            await ask(peer)
        assert address in caught.value.message
        assert other not in caught.value.message
        await peer.close()
    assert asked == []
