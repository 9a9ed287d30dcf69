"""A gateway's link to the trail, over HTTP."""

from typing import Any

from adapters.http_peer import SMALL_BYTES, Link
from domain.errors import Unavailable
from domain.notary import HeadProof, Receipt, SignedStatement

FILE_BYTES = 256 << 10
"""Of a checkpoint with many cosignatures; a tile has 8 KiB."""
_OK, _MISSING = 200, 404


class HttpTrailLink(Link):
    """See the port `TrailLink`."""

    async def file(self, path: str) -> bytes | None:
        """Return a public file of the trail, or None if there is none."""
        status, data = await self.send("GET", f"/trail/{path}", most=FILE_BYTES)
        if status == _OK:
            return data
        if status == _MISSING:
            return None
        raise Unavailable("PEER_BROKEN", f"the trail answered {status} for {path}")

    async def receipt(self, stream: bytes, statement_digest: bytes) -> Receipt:
        """Return the proof that a statement stands in a stream."""
        path = f"/trail/receipts/{stream.hex()}/{statement_digest.hex()}"
        return await self.call("GET", path, Receipt, most=SMALL_BYTES)

    async def head(self, key: bytes) -> HeadProof:
        """Return the proof of what a key of the map of heads has."""
        return await self.call("GET", f"/trail/heads/{key.hex()}", HeadProof, most=SMALL_BYTES)

    async def disclosed(self, stream: bytes, leaf: bytes) -> Receipt:
        """Return the DISCLOSURE that lists a delivery to this agency."""
        path = f"/trail/disclosed/{stream.hex()}/{leaf.hex()}"
        return await self.call("GET", path, Receipt, most=SMALL_BYTES)

    async def confirm(self, signed: SignedStatement) -> None:
        """Hand over a RECEIPT."""
        path, kind = "/trail/receipts", dict[str, Any]
        await self.call("POST", path, kind, body=signed, most=SMALL_BYTES)
