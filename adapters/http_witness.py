"""A witness asked over HTTP (C2SP tlog-witness), on aiohttp; what it answers is believed late.

Only signature lines that hold under its pinned key are returned, and an answer has a limit in
bytes and, from connecting to its last byte, in seconds.
"""

import asyncio
import re
import threading
from collections.abc import Sequence

import aiohttp

from domain.errors import Malformed, NotAuthentic, Refused, Unavailable
from domain.notary import Stands
from domain.trail.checkpoint import Checkpoint, from_decimal, signed_at
from domain.trail.notes import Note, NoteVerifying, Signature, VerifierKey
from domain.witness import AddCheckpoint

ANSWER_SECONDS = 8.0
"""A replay witness may look at the entries for some seconds before it answers."""
_ANSWER_BYTES = 256 * 1024
_CODE = re.compile(r"([A-Z][A-Z0-9_]{0,63}): ")
_REFUSALS = frozenset({400, 403, 404, 413, 422})


class HttpWitness:
    """`Witnessing`. Blocks: call it in a thread that runs no event loop. Threads take turns."""

    def __init__(
        self,
        address: str,
        key: VerifierKey,
        verifying: NoteVerifying,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        """Ask the witness at `address`, its submission prefix, which cosigns with `key`."""
        self.key = key
        self._address = f"{address.rstrip('/')}/add-checkpoint"
        self._verifying = verifying
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._runner = asyncio.Runner()
        self._turn = threading.Lock()
        self._session: aiohttp.ClientSession | None = None

    def close(self) -> None:
        """Close the connection, once the question that may be open has ended."""
        with self._turn:
            if self._session is not None:
                self._runner.run(self._session.close())
                self._session = None
            self._runner.close()

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], note: bytes
    ) -> Sequence[Signature] | Stands:
        """Return its cosignature, which holds, or the size that it stands at.

        `Unavailable` WITNESS_AWAY when it does not answer in time or says that it cannot now,
        `Refused` WITNESS_REFUSED when it says no, `NotAuthentic` WITNESS_ANSWER when it answers
        what no honest witness does.
        """
        body = AddCheckpoint(old_size, tuple(proof), note).encode()
        with self._turn:
            status, answer = self._runner.run(self._post(body))
        if status == 200:
            return [self._checked(note, answer)]
        if status == 409:
            return Stands(self._size(answer))
        if status in _REFUSALS:
            raise Refused("WITNESS_REFUSED", f"{self.key.name} answers {status}{_reason(answer)}")
        raise self._away(f"answers {status}{_reason(answer)}")

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        try:
            try:
                return await self._posted(body)
            except aiohttp.ServerDisconnectedError:
                # The connection was kept open for too long; asking twice does no harm.
                return await self._posted(body)
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise self._away("did not answer in time") from e

    async def _posted(self, body: bytes) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        async with self._session.post(self._address, data=body, allow_redirects=False) as response:
            return response.status, await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        answer = bytearray()
        async for chunk in response.content.iter_any():
            answer += chunk
            if len(answer) > _ANSWER_BYTES:
                response.close()
                raise self._wrong(f"its answer has more than {_ANSWER_BYTES} bytes")
        return bytes(answer)

    def _checked(self, note: bytes, lines: bytes) -> Signature:
        """Return its signature from `lines` (others are ignored) once it held."""
        try:
            read = Note.decode(note + lines)
            checkpoint, signed = Checkpoint.parse(read.text), read.signed_by([self.key])
        except Malformed as e:
            raise self._wrong("its answer is no signature lines") from e
        if not signed:
            raise self._wrong("its answer has no signature of its key")
        if not signed_at(checkpoint, *signed[0], self._verifying):
            raise self._wrong("its signature does not hold, or has no time")
        return signed[0][1]

    def _size(self, answer: bytes) -> int:
        try:
            text = answer.decode("ascii")
            if not text.endswith("\n"):
                raise ValueError
            return from_decimal(text[:-1])
        except ValueError:
            raise self._wrong("it says 409 and no size") from None

    def _away(self, why: str) -> Unavailable:
        return Unavailable("WITNESS_AWAY", f"{self.key.name} {why}; retry later")

    def _wrong(self, why: str) -> NotAuthentic:
        message = f"{self.key.name} answers wrongly: {why}; ask whoever runs it"
        return NotAuthentic("WITNESS_ANSWER", message)


def _reason(answer: bytes) -> str:
    """Return the reason code that an answer begins with; nothing else of it is repeated."""
    found = _CODE.match(answer[:80].decode("ascii", "replace"))
    return f" {found[1]}" if found else ""
