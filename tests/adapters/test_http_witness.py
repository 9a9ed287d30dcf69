"""A witness asked over HTTP: a good one cosigns; a slow, wrong or silent one is told apart."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing

import pytest

from adapters.http_witness import HttpWitness
from domain.errors import HubError, NotAuthentic, Refused, Unavailable
from domain.notary import Stands
from domain.trail.checkpoint import sign
from domain.trail.notes import Algorithm, Signature
from tests.services.witness_face import NOW, serving
from tests.witnessed import VERIFIER, Log, cosigned_at, witness_signer

LOG = Log()
SIGNER = witness_signer()
ONCE = 60.0
"""Seconds, far above what a good answer takes."""
SOON = 0.3
"""Seconds for a witness that will not answer."""

Witnesses = Callable[[asyncio.StreamWriter], Awaitable[None]]


def client(address: str, seconds: float = ONCE) -> HttpWitness:
    return HttpWitness(address, SIGNER.key, VERIFIER, seconds)


async def asked(
    address: str, old: int, size: int, log: Log = LOG, seconds: float = ONCE
) -> Sequence[Signature] | Stands:
    """Ask as the notary does, in a thread of its own."""

    def ask() -> Sequence[Signature] | Stands:
        with closing(client(address, seconds)) as witness:
            return witness.add_checkpoint(old, log.proof(old, size), log.note(size))

    return await asyncio.to_thread(ask)


@asynccontextmanager
async def answering(answer: Witnesses) -> AsyncIterator[str]:
    """Serve whatever `answer` writes to each request; yield the address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            await answer(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()


def with_body(status: int, body: bytes, *headers: str) -> Witnesses:
    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)

    return answer


async def test_a_good_witness_cosigns() -> None:
    async with serving() as witness:
        lines = await asked(witness.address, 0, 5)
        again = await asked(witness.address + "/", 5, 9)
    assert isinstance(lines, list)
    assert isinstance(again, list)
    assert cosigned_at(LOG.checkpoint(5), SIGNER.key, lines[0]) == NOW
    assert cosigned_at(LOG.checkpoint(9), SIGNER.key, again[0]) == NOW


async def test_of_several_lines_the_one_of_its_key_is_returned() -> None:
    ml_dsa = witness_signer(algorithm=Algorithm.ML_DSA_44_COSIGNATURE)
    async with serving(signers=[ml_dsa, SIGNER]) as witness:
        lines = await asked(witness.address, 0, 5)
    assert isinstance(lines, list)
    assert [line.key_id for line in lines] == [SIGNER.key.id]


async def test_one_that_stands_elsewhere_says_where() -> None:
    async with serving() as witness:
        await asked(witness.address, 0, 5)
        assert await asked(witness.address, 0, 9) == Stands(5)


async def test_one_that_does_not_accept_it_says_why() -> None:
    async with serving() as witness:
        with pytest.raises(Refused, match="404 UNKNOWN_LOG"):
            await asked(witness.address, 0, 5, Log("stranger.example/trail"))
        await asked(witness.address, 0, 5)
        with pytest.raises(Refused, match="422 BAD_CONSISTENCY"):
            await asked(witness.address, 5, 9, LOG.fork(3))


async def test_a_connection_that_the_witness_closed_is_made_anew() -> None:
    """The one kept open is found closed with the next question; that is asked once more."""
    good = sign(LOG.checkpoint(5), SIGNER, NOW)

    def ask_twice(address: str) -> list[Sequence[Signature] | Stands]:
        with closing(client(address)) as witness:
            return [witness.add_checkpoint(0, (), LOG.note(5)) for _ in range(2)]

    async with answering(with_body(200, good.line.encode())) as address:
        assert await asyncio.to_thread(ask_twice, address) == [[good], [good]]


async def test_it_is_closed_from_another_thread_once_its_question_has_ended() -> None:
    asked_now = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        asked_now.set()
        await asyncio.sleep(SOON)
        await with_body(200, line())(writer)

    async with answering(slow) as address:
        witness = client(address)
        question = asyncio.create_task(
            asyncio.to_thread(witness.add_checkpoint, 0, (), LOG.note(5))
        )
        await asked_now.wait()
        await asyncio.to_thread(witness.close)
        assert isinstance(await question, list)


def test_one_that_is_not_there_is_away() -> None:
    with closing(client("http://127.0.0.1:9")) as witness, pytest.raises(Unavailable) as told:
        witness.add_checkpoint(0, (), LOG.note(5))
    assert told.value.code == "WITNESS_AWAY"


async def _never(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(ONCE)


async def _drop_by_drop(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(SOON / 10)


async def _endless_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(SOON / 10)


async def _hangs_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _speaks_otherwise(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")


@pytest.mark.parametrize(
    "away",
    [
        _never,
        _drop_by_drop,
        _endless_head,
        _hangs_up,
        _speaks_otherwise,
        with_body(503, b"REPLAY_BEHIND: later\n"),
        with_body(500, b""),
    ],
)
async def test_one_that_is_slow_silent_or_busy_is_away(away: Witnesses) -> None:
    async with answering(away) as address:
        with pytest.raises(Unavailable) as told:
            await asked(address, 0, 5, seconds=SOON)
    assert told.value.code == "WITNESS_AWAY"


def line(size: int = 5, time_s: int = NOW, log: Log = LOG) -> bytes:
    return sign(log.checkpoint(size), SIGNER, time_s).line.encode()


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(line() * 100)
        await writer.drain()


WRONG = {
    "nothing": with_body(200, b""),
    "no signature line": with_body(200, b"all is well\n"),
    "no newline": with_body(200, line()[:-1]),
    "no text": with_body(200, b"\xff\xfe"),
    "another's signature": with_body(
        200, sign(LOG.checkpoint(5), witness_signer("other/w"), NOW).line.encode()
    ),
    "a signature of another size": with_body(200, line(4)),
    "a signature of a fork": with_body(200, line(log=LOG.fork(2))),
    "a signature without a time": with_body(200, line(time_s=0)),
    "its signature twice": with_body(200, line() + line()),
    "another checkpoint": with_body(200, b"\n\n" + LOG.note(4)),
    "an answer without end": _endless,
    "a conflict without a size": with_body(409, b"somewhere\n"),
    "a conflict with a size that is none": with_body(409, b"-1\n"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_one_that_answers_wrongly_is_not_believed(wrong: str) -> None:
    async with answering(WRONG[wrong]) as address:
        with pytest.raises(NotAuthentic) as told:
            await asked(address, 0, 5)
    assert told.value.code == "WITNESS_ANSWER"


async def test_one_that_leads_elsewhere_is_not_followed() -> None:
    async with serving() as other:
        moved = with_body(307, b"", f"Location: {other.address}/add-checkpoint")
        async with answering(moved) as address:
            with pytest.raises(Unavailable, match="answers 307"):
                await asked(address, 0, 5)


async def test_nothing_of_its_text_but_a_code_is_repeated() -> None:
    said = [b"CODE: and a name", b"no code", b"<script>: x", b"A" * 80 + b": x"]
    for body, code in zip(said, [" CODE", "", "", ""], strict=True):
        async with answering(with_body(422, body)) as address:
            with pytest.raises(HubError) as told:
                await asked(address, 0, 5)
        assert told.value.message == f"{SIGNER.key.name} answers 422{code}"
