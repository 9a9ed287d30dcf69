"""The read-only part of the Confluent registry API, so that any Kafka client decodes a record.

Nothing here is secret and nothing can be written: schemas are released with the program.
Query strings are taken and ignored; every error is JSON with `error_code`, as clients expect.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import HubError, Malformed
from domain.published import PublishedLanguage, PublishedSchema
from services.http.openapi import application, get, post
from services.http.problems import body_of, decoded, status_of

MEDIA = "application/vnd.schemaregistry.v1+json"
BODY_LIMIT = 256 << 10
COMPATIBILITY = {"compatibilityLevel": "FULL_TRANSITIVE"}
MODE = {"mode": "READONLY"}
IDENTITY = {"scope": {"path": [], "clusters": {"schema-registry-cluster": "nrm"}}, "id": ""}
_CODES = {
    "SUBJECT_UNKNOWN": (404, 40401),
    "VERSION_UNKNOWN": (404, 40402),
    "SCHEMA_UNKNOWN": (404, 40403),
    "SCHEMA_UNREADABLE": (422, 42201),
    "VERSION_UNREADABLE": (422, 42202),
}
"""Reason code -> HTTP status and `error_code` of the registry API."""


class Proposed(msgspec.Struct):
    """A schema that a client asks about."""

    schema: str
    schemaType: str = "AVRO"  # noqa: N815 - the name in the registry API
    references: list[Any] | None = None


_PROPOSED = msgspec.json.Decoder(Proposed)


def registry_app(language: PublishedLanguage) -> FastAPI:
    """Return the ASGI application of the registry, to be mounted under a path of its own."""
    face = _Face(language)
    by_number, subject = "/schemas/ids/{number}", "/subjects/{subject}"
    version = subject + "/versions/{version}"
    json: dict[str, Any] = {"public": True, "media": MEDIA}
    app = application(
        "nrm-hub schema registry",
        [
            get("/", face.root, dict[str, str], **json),
            get("/schemas/types", face.types, list[str], **json),
            get(by_number, face.by_number, dict[str, str], **json),
            get(by_number + "/schema", face.schema_by_number, dict[str, Any], **json),
            get(by_number + "/subjects", face.subjects_by_number, list[str], **json),
            get(by_number + "/versions", face.versions_by_number, list[dict[str, Any]], **json),
            get("/subjects", face.subjects, list[str], **json),
            post(subject, face.lookup, Proposed, dict[str, Any], **json),
            get(subject + "/versions", face.versions, list[int], **json),
            get(version, face.version, dict[str, Any], **json),
            get(version + "/schema", face.schema_of_version, dict[str, Any], **json),
            get(version + "/referencedby", face.referenced_by, list[int], **json),
            post("/compatibility" + version, face.verdict, Proposed, dict[str, Any], **json),
            get("/config", face.config, dict[str, str], **json),
            get("/config/{subject}", face.config_of_subject, dict[str, str], **json),
            get("/mode", face.mode, dict[str, str], **json),
            get("/mode/{subject}", face.mode_of_subject, dict[str, str], **json),
            get("/contexts", face.contexts, list[str], **json),
            get("/v1/metadata/id", face.identity, dict[str, Any], **json),
        ],
    )
    app.add_exception_handler(HubError, _on_error)
    app.add_exception_handler(HTTPException, _on_error)
    return app


class _Face:
    def __init__(self, language: PublishedLanguage) -> None:
        self._language = language

    async def root(self, _: Request) -> Response:
        """Say that the registry is here."""
        return _json({})

    async def types(self, _: Request) -> Response:
        """Return the kinds of schema that there are."""
        return _json(["AVRO"])

    async def by_number(self, request: Request) -> Response:
        """Return the schema that a record's framing names by its number."""
        return _json({"schema": self._numbered(request).schema})

    async def schema_by_number(self, request: Request) -> Response:
        """Return a schema by its number, bare."""
        return _text(self._numbered(request).schema)

    async def subjects_by_number(self, request: Request) -> Response:
        """Return the subjects that a number stands for: one."""
        return _json([self._numbered(request).subject])

    async def versions_by_number(self, request: Request) -> Response:
        """Return subject and version of a number."""
        found = self._numbered(request)
        return _json([{"subject": found.subject, "version": found.version}])

    async def subjects(self, _: Request) -> Response:
        """Return every subject: the full names of the released records."""
        return _json(sorted({schema.subject for schema in self._language.published()}))

    async def lookup(self, request: Request) -> Response:
        """Return the number of a schema that the client has; nothing is registered."""
        self._subject(request)
        asked = await _proposed(request)
        found = self._language.same(request.path_params["subject"], asked.schema)
        if found is None:
            raise Malformed("SCHEMA_UNKNOWN", "this is not the released schema of the subject")
        return _json(_shown(found))

    async def versions(self, request: Request) -> Response:
        """Return the versions of a subject."""
        return _json([schema.version for schema in self._subject(request)])

    async def version(self, request: Request) -> Response:
        """Return one version of a subject, by number or as `latest`."""
        return _json(_shown(self._version(request)))

    async def schema_of_version(self, request: Request) -> Response:
        """Return the schema of one version of a subject, bare."""
        return _text(self._version(request).schema)

    async def referenced_by(self, request: Request) -> Response:
        """Return what refers to a schema: nothing, each is complete in itself."""
        self._version(request)
        return _json([])

    async def verdict(self, request: Request) -> Response:
        """Say whether a schema could be a version of a subject; nothing is registered."""
        released, asked = self._version(request), await _proposed(request)
        found = self._language.conflicts(released.number, asked.schema)
        return _json({"is_compatible": not found, "messages": list(found)})

    async def config(self, _: Request) -> Response:
        """Return what versions of a subject owe each other: to be read by all, and to read all."""
        return _json(COMPATIBILITY)

    async def config_of_subject(self, request: Request) -> Response:
        """Return what versions of this subject owe each other."""
        self._subject(request)
        return _json(COMPATIBILITY)

    async def mode(self, _: Request) -> Response:
        """Say that nothing can be registered."""
        return _json(MODE)

    async def mode_of_subject(self, request: Request) -> Response:
        """Say that nothing can be registered under this subject."""
        self._subject(request)
        return _json(MODE)

    async def contexts(self, _: Request) -> Response:
        """Return the one context."""
        return _json(["."])

    async def identity(self, _: Request) -> Response:
        """Return the registry's id; it is the same on every hub, as the numbers are."""
        return _json(IDENTITY)

    def _numbered(self, request: Request) -> PublishedSchema:
        number = request.path_params["number"]
        for schema in self._language.published():
            if str(schema.number) == number:
                return schema
        raise Malformed("SCHEMA_UNKNOWN", "no schema has this number; is this the newest release?")

    def _subject(self, request: Request) -> list[PublishedSchema]:
        subject = request.path_params["subject"]
        found = [schema for schema in self._language.published() if schema.subject == subject]
        if not found:
            raise Malformed("SUBJECT_UNKNOWN", "a subject is the full name of a released record")
        return found

    def _version(self, request: Request) -> PublishedSchema:
        schemas, asked = self._subject(request), request.path_params["version"]
        if asked in ("latest", "-1"):
            return schemas[-1]
        if not (asked.isascii() and asked.isdigit()):
            raise Malformed("VERSION_UNREADABLE", "a version is a number from 1, or latest")
        for schema in schemas:
            if str(schema.version) == asked:
                return schema
        raise Malformed("VERSION_UNKNOWN", "the subject has no such version")


async def _proposed(request: Request) -> Proposed:
    asked = decoded(_PROPOSED, await body_of(request, BODY_LIMIT))
    if asked.schemaType != "AVRO" or asked.references:
        raise Malformed("SCHEMA_UNREADABLE", "send one complete Avro schema, without references")
    return asked


def _shown(schema: PublishedSchema) -> Mapping[str, Any]:
    return {
        "subject": schema.subject,
        "version": schema.version,
        "id": schema.number,
        "schema": schema.schema,
    }


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type=MEDIA)


def _text(schema: str) -> Response:
    return Response(schema, media_type=MEDIA)


async def _on_error(_: Request, error: Exception) -> Response:
    """Answer as a registry does; what is neither ours nor HTTP's is the server's own 500."""
    match error:
        case HTTPException(status_code=405):
            said = "the registry is read-only: schemas are released with the hub"
            return _json({"error_code": 405, "message": said}, 405)
        case HTTPException(status_code=status):
            return _json({"error_code": status, "message": HTTPStatus(status).phrase}, status)
        case HubError():
            status, number = _CODES.get(error.code, (status_of(error), status_of(error)))
            return _json({"error_code": number, "message": error.message}, status)
        case _:
            raise error
