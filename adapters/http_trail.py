"""A gateway's link to the trail, over HTTP."""

from typing import Any

from adapters.http_links import _Link
from domain.errors import Unavailable
from domain.notary import HeadProof, Receipt, SignedStatement

_OK, _MISSING = 200, 404


class HttpTrailLink(_Link):
    """See the port `TrailLink`."""

    async def file(self, path: str) -> bytes | None:
        """Return a public file of the trail, or None if there is none."""
        status, data = await self._send("GET", f"/trail/{path}", None, {}, 0.0)
        if status == _OK:
            return data
        if status == _MISSING:
            return None
        raise Unavailable("PEER_BROKEN", f"the trail answered {status} for {path}")

    async def receipt(self, stream: bytes, statement_digest: bytes) -> Receipt:
        """Return the proof that a statement stands in a stream."""
        path = f"/trail/receipts/{stream.hex()}/{statement_digest.hex()}"
        return await self.call("GET", path, Receipt)

    async def head(self, key: bytes) -> HeadProof:
        """Return the proof of what a key of the map of heads has."""
        return await self.call("GET", f"/trail/heads/{key.hex()}", HeadProof)

    async def disclosed(self, stream: bytes, leaf: bytes) -> Receipt:
        """Return the DISCLOSURE that lists a delivery to this agency."""
        path = f"/trail/disclosed/{stream.hex()}/{leaf.hex()}"
        return await self.call("GET", path, Receipt)

    async def confirm(self, signed: SignedStatement) -> None:
        """Hand over a RECEIPT."""
        await self.call("POST", "/trail/receipts", dict[str, Any], body=signed)
