"""A time-stamp authority on this machine: `openssl ts` behind HTTP, with keys made for the test."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.servers import missing

_CONFIG = """[tsa]
default_tsa = it
[it]
serial = {0}/serial
crypto_device = builtin
signer_cert = {0}/tsa.pem
signer_key = {0}/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.55555.1
digests = sha256
ess_cert_id_alg = sha256
"""


class Authority:
    """An authority in a folder: `ca` is the PEM file to trust."""

    def __init__(self, folder: Path, *, ends: timedelta = timedelta(days=1)) -> None:
        """Make its keys; its own certificate ends in `ends`, or has ended."""
        _openssl()
        folder.mkdir()
        self._folder, self.ca = folder, folder / "ca.pem"
        self.asked = 0
        root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        issuer, now = _name(f"CA {folder.name}"), datetime.now(UTC)
        begins = now - timedelta(days=30)
        anchor = _certificate(issuer, issuer, root, begins, now + timedelta(days=30)).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        signer = _certificate(_name("TSA"), issuer, own, begins, now + ends).add_extension(
            usage, critical=True
        )
        key = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "tsa.key").write_bytes(key)
        for file, made in ((self.ca, anchor), (folder / "tsa.pem", signer)):
            file.write_bytes(made.sign(root, hashes.SHA256()).public_bytes(Encoding.PEM))
        (folder / "tsa.cnf").write_text(_CONFIG.format(folder), "utf-8")

    def reply(self, query: bytes) -> bytes:
        """Return its answer to a TimeStampReq in DER."""
        self.asked += 1
        (self._folder / "query.tsq").write_bytes(query)
        words = ("-config", "tsa.cnf", "-queryfile", "query.tsq", "-out", "reply.tsr")
        run_openssl("-reply", *words, cwd=self._folder)
        return (self._folder / "reply.tsr").read_bytes()

    def stamp(self, data: bytes) -> bytes:
        """Return its time-stamp over `data`, asked for by hand with openssl."""
        (self._folder / "data").write_bytes(data)
        words = ("-data", "data", "-sha256", "-cert", "-out", "by-hand.tsq")
        run_openssl("-query", *words, cwd=self._folder)
        return self.reply((self._folder / "by-hand.tsq").read_bytes())


def run_openssl(*words: str, cwd: Path) -> None:
    """Run `openssl ts`; what it says is in the error when it fails."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        (_openssl(), "ts", *words),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def serving(answer: Any) -> Iterator[str]:
    """Serve `answer(query) -> (status, bytes)` over HTTP; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            status, data = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _openssl() -> str:
    """Return the program's path; without it, skip the test, or fail in CI."""
    return shutil.which("openssl") or missing("openssl ts", "openssl is not on the PATH")


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begins: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), begins, ends
    )
