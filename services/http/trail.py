"""The trail's HTTP face (C2SP tlog-tiles): files for everybody's tools, proofs for agencies.

Checkpoints and hash tiles tell nothing of anybody, so whoever reaches the face may have them.
Entries and bodies are for those designated to oversee the mechanism.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import Malformed
from domain.events import REGISTRY_STREAM
from domain.notary import HeadProof, Receipt, SignedStatement, StreamProof, TrailFiles
from domain.trail.statement import Kind, disclosure_stream, stream_tag
from domain.trail.tiles import WIDTH
from services.http.auth import TokenIssuer
from services.http.openapi import Endpoint, get, post
from services.http.problems import body_of, decoded, json_response, number_of
from services.notary.intake import Intake
from services.notary.proofs import Proofs
from services.notary.readers import Readers

BODY_LIMIT = 3 << 20
"""A receipt over as many deliveries as an entry can count is 2 MiB."""
TEXT, BINARY = "text/plain; charset=utf-8", "application/octet-stream"
_FOREVER = {"Cache-Control": "max-age=31536000, immutable"}
_NOW = {"Cache-Control": "no-cache"}
_PLACE = r"(?P<number>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
_HASHES = re.compile(rf"(?P<level>[0-9])/{_PLACE}")
_BUNDLE = re.compile(_PLACE)
_ANCHOR = re.compile(r"[1-9][0-9]{0,18}\.(?:checkpoint|tsr)")
_ENTRIES = "entries/"
_REGISTRY = stream_tag(REGISTRY_STREAM)
_SIGNED = msgspec.json.Decoder(SignedStatement)
_AFTER = {"after": "Number in the stream to begin with, 0 by default."}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailParts:
    """What stands behind the face."""

    files: TrailFiles
    size: Callable[[], int]
    """Size of the newest tree that was decided on: files beyond it may yet be written over."""
    proofs: Proofs
    intake: Intake
    readers: Readers
    tokens: TokenIssuer
    custodian: str
    """Id under which the custodian proves itself."""


def trail_endpoints(parts: TrailParts) -> list[Endpoint]:
    """Return the routes under /trail."""
    face = _Face(parts)
    text: dict[str, Any] = {"public": True, "media": TEXT}
    return [
        get("/trail/checkpoint", face.checkpoint, **text),
        get("/trail/policy", face.policy, **text),
        get("/trail/log.vkey", face.vkey, **text),
        get("/trail/trust.json", face.trust, media="application/json"),
        get("/trail/tile/{path:path}", face.tile, public=True, media=BINARY),
        get("/trail/anchors/{name}", face.anchor, public=True, media=BINARY),
        get("/trail/body/{path:path}", face.bodies, media=BINARY),
        get("/trail/streams/{stream}", face.streamed, list[int], query=_AFTER),
        get("/trail/receipts/{stream}/{digest}", face.receipt, Receipt),
        get("/trail/heads/{key}", face.head, HeadProof),
        get("/trail/disclosed/{stream}/{leaf}", face.disclosed, Receipt),
        get("/trail/disclosures/{case_id}", face.disclosures, StreamProof, query=_AFTER),
        get("/trail/registry", face.registry, StreamProof, query=_AFTER),
        post("/trail/receipts", face.take_receipt, SignedStatement, dict[str, int]),
        post("/trail/challenges", face.take_challenge, SignedStatement, dict[str, int]),
    ]


class _Face:
    def __init__(self, parts: TrailParts) -> None:
        self._parts = parts

    async def checkpoint(self, _: Request) -> Response:
        """Return the newest published checkpoint."""
        return await self._file("checkpoint", TEXT, _NOW)

    async def policy(self, _: Request) -> Response:
        """Return the policy of witnesses; a verifier compares it with its own copy."""
        return await self._file("policy", TEXT, _NOW)

    async def vkey(self, _: Request) -> Response:
        """Return the log's verifier key; a verifier compares it with the pinned one."""
        return await self._file("log.vkey", TEXT, _NOW)

    async def trust(self, request: Request) -> Response:
        """Return the pinned public keys; for oversight."""
        self._overseer(request)
        return await self._file("trust.json", "application/json", _NOW)

    async def tile(self, request: Request) -> Response:
        """Return a hash tile; an entry bundle (`entries/<N>`) for oversight alone."""
        path = request.path_params["path"]
        if path.startswith(_ENTRIES):
            self._overseer(request)
            return await self._tile(f"tile/{path}", _BUNDLE.fullmatch(path[len(_ENTRIES) :]))
        return await self._tile(f"tile/{path}", _HASHES.fullmatch(path))

    async def anchor(self, request: Request) -> Response:
        """Return a time-stamp, the checkpoint it is about, or the list of all of them."""
        name = request.path_params["name"]
        if name == "index":
            return await self._file(f"anchors/{name}", TEXT, _NOW)
        if _ANCHOR.fullmatch(name):
            return await self._file(f"anchors/{name}", BINARY, _FOREVER)
        return Response(status_code=404)

    async def bodies(self, request: Request) -> Response:
        """Return a bundle of bodies, numbered like the entries; for oversight."""
        self._overseer(request)
        path = request.path_params["path"]
        return await self._tile(f"body/{path}", _BUNDLE.fullmatch(path))

    async def streamed(self, request: Request) -> Response:
        """Return where in the log a stream's entries stand, 1,000 at most; for oversight."""
        self._overseer(request)
        return await self._proved(
            self._parts.proofs.indexes, _hash(request, "stream"), _after(request)
        )

    async def receipt(self, request: Request) -> Response:
        """Return the proof that a statement stands in the trail; 404 as long as it does not."""
        self._parts.readers.check_registered(self._parts.tokens.agency(request))
        hashes = _hash(request, "stream"), _hash(request, "digest")
        return await self._proved(self._parts.proofs.receipt, *hashes)

    async def head(self, request: Request) -> Response:
        """Return the proof of what a key of the map of heads has, or that it has nothing."""
        agency = self._parts.tokens.agency(request)
        key = _hash(request, "key")
        self._parts.readers.check_head(agency, key)
        return await self._proved(self._parts.proofs.head, key)

    async def disclosed(self, request: Request) -> Response:
        """Return the DISCLOSURE that lists a delivery to the agency that asks, and its proof."""
        agency = self._parts.tokens.agency(request)
        self._parts.readers.check_registered(agency)
        stream, leaf = _hash(request, "stream"), _hash(request, "leaf")
        digest = await asyncio.to_thread(self._parts.intake.disclosure, stream, leaf, agency)
        return await self._proved(self._parts.proofs.receipt, stream, digest)

    async def disclosures(self, request: Request) -> Response:
        """Return what was disclosed of a case, and that it is all; for the custodian."""
        self._custodian(request)
        try:
            stream = disclosure_stream(request.path_params["case_id"])
        except ValueError:
            raise Malformed("CASE_ID", "a case id is a UUID") from None
        return await self._proved(self._parts.proofs.stream, stream, _after(request))

    async def registry(self, request: Request) -> Response:
        """Return the registry's facts, and that it is all of them; for the custodian."""
        self._custodian(request)
        return await self._proved(self._parts.proofs.stream, _REGISTRY, _after(request))

    async def take_receipt(self, request: Request) -> Response:
        """Take a reader's RECEIPT of what its feed brought it."""
        return await self._take(request, Kind.RECEIPT)

    async def take_challenge(self, request: Request) -> Response:
        """Take an AUDIT challenge; it comes back as an entry."""
        return await self._take(request, Kind.AUDIT)

    async def _take(self, request: Request, kind: Kind) -> Response:
        agency = self._parts.tokens.agency(request)
        self._parts.readers.check_registered(agency)
        signed = decoded(_SIGNED, await body_of(request, BODY_LIMIT))
        number = await asyncio.to_thread(self._parts.intake.take, kind, signed, agency)
        return json_response({"number": number})

    def _custodian(self, request: Request) -> None:
        """Let the custodian pass, and oversight."""
        if self._parts.tokens.agency(request) != self._parts.custodian:
            self._overseer(request)

    def _overseer(self, request: Request) -> None:
        self._parts.readers.check_overseer(self._parts.tokens.agency(request))

    async def _tile(self, path: str, place: re.Match[str] | None) -> Response:
        """Return a file that never changes; what no decided tree has is not there."""
        if place is None or _leaves(place) > await asyncio.to_thread(self._parts.size):
            return Response(status_code=404)
        return await self._file(path, BINARY, _FOREVER)

    async def _file(self, path: str, media: str, headers: dict[str, str]) -> Response:
        data = await asyncio.to_thread(self._parts.files.read, path)
        if data is None:
            return Response(status_code=404)
        return Response(data, headers=headers, media_type=media)

    async def _proved(self, prove: Callable[..., Any], *asked: Any) -> Response:
        return json_response(await asyncio.to_thread(prove, *asked))


def _leaves(place: re.Match[str]) -> int:
    """Return how large a tree is that has the tile or bundle in this place."""
    number = int(re.sub("[x/]", "", place["number"]))
    level = int(place.groupdict().get("level") or 0)
    return (WIDTH * number + int(place["width"] or WIDTH)) << 8 * level


def _after(request: Request) -> int:
    return int(number_of(request, "after", 0))


def _hash(request: Request, name: str) -> bytes:
    text = request.path_params[name]
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise Malformed("HEX", f"{name} is 64 hexadecimal digits in lower case")
    return bytes.fromhex(text)
