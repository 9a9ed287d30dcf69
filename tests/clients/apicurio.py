"""A registry server that is not ours: Apicurio, fetched from Maven Central, data in memory."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from services.local.processes import free_ports, until
from tests.servers import missing

VERSION = "2.6.13.Final"
"""The newest that runs on Java 17, as Kafka does; 3.x wants 21."""
HOME = Path(__file__).parent / ".apicurio" / VERSION
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
FETCH_SECONDS = 300


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run the server for the time of the block; give the base address of the Confluent API."""
    jar, java = _fetched() / f"apicurio-registry-app-{VERSION}-runner.jar", _program("java")
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    env = {**os.environ, "QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": str(port)}
    with (
        (folder / "apicurio.log").open("wb") as log,
        subprocess.Popen(  # noqa: S603 - our own arguments
            [java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", str(jar)],
            env=env,
            stdout=log,
            stderr=log,
        ) as server,
    ):
        try:
            assert until(lambda: server.poll() is not None or _serves(address), seconds=120)
            yield address
        finally:
            server.terminate()


def _serves(address: str) -> bool:
    try:
        return httpx.get(f"{address}/subjects").is_success
    except httpx.HTTPError:
        return False


def _fetched() -> Path:
    """Return the folder of the unpacked server, fetched once."""
    if not HOME.exists():
        mvn, beside = _program("mvn"), HOME.with_suffix(".new")
        shutil.rmtree(beside, ignore_errors=True)
        artifact = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
        done = subprocess.run(  # noqa: S603 - our own arguments
            [
                mvn,
                "-B",
                "-q",
                f"{PLUGIN}:copy",
                f"-Dartifact={artifact}",
                f"-DoutputDirectory={beside}",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=FETCH_SECONDS,
        )
        if done.returncode:
            missing("registry server", f"Maven could not fetch Apicurio: {done.stdout[-500:]}")
        (archive,) = beside.glob("*.tar.gz")
        shutil.unpack_archive(archive, beside, filter="data")
        archive.unlink()
        beside.rename(HOME)
    return HOME


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        missing("registry server", f"{name} is not on the PATH")
    return found
