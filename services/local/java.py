"""Java and the jars of Kafka: found, or fetched once from Maven Central by deploy/kafka/pom.xml."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from domain.errors import Unavailable
from services.local.processes import write_private

_ROOT = Path(__file__).parents[2]
_POM = _ROOT / "deploy" / "kafka" / "pom.xml"
_FETCH_SECONDS = 600


def program(name: str, package: str) -> str:
    """Return the path of `name`; `Unavailable` says which Debian package holds it."""
    found = shutil.which(name)
    if found is None:
        message = f"{name} is not on the PATH: apt-get install {package}"
        raise Unavailable("LOCAL_PROGRAM_MISSING", message)
    return found


def java() -> str:
    """Return the path of java; Kafka 4 needs version 17 or newer."""
    return program("java", "openjdk-17-jre-headless")


def jars(env: Mapping[str, str], root: Path = _ROOT) -> Path:
    """Return the folder of Kafka's jars: NRM_KAFKA_HOME's libs, else .kafka/ under `root`."""
    home = env.get("NRM_KAFKA_HOME", "")
    if home:
        libs = Path(home, "libs").resolve()
        if not any(libs.glob("kafka_*.jar")):
            message = "NRM_KAFKA_HOME has no libs/kafka_*.jar: unset it to have them fetched"
            raise Unavailable("LOCAL_JARS", message)
        return libs
    libs = root / ".kafka" / f"libs-{sha256(_POM.read_bytes()).hexdigest()[:12]}"
    if not libs.exists():
        _fetch(libs)
    return libs


def _fetch(libs: Path) -> None:
    """Fill `libs` beside its place and move it there: a broken fetch leaves nothing."""
    mvn = program("mvn", "maven")
    libs.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=libs.parent, prefix="fetch-") as folder:
        fresh = Path(folder, "libs")
        command = [
            *(mvn, "-B", "-q", "-f", str(_POM), "dependency:copy-dependencies"),
            *("-DincludeScope=runtime", f"-DoutputDirectory={fresh}"),
        ]
        log = libs.parent / "fetch.log"
        with log.open("wb") as out:
            done = subprocess.run(  # noqa: S603 - our own pom
                command, stdout=out, stderr=out, check=False, timeout=_FETCH_SECONDS
            )
        if done.returncode or not any(fresh.glob("kafka_*.jar")):
            raise Unavailable("LOCAL_FETCH", f"Maven could not fetch Kafka: read {log}, try again")
        try:
            fresh.rename(libs)
        except OSError:
            if not libs.exists():  # else another process was first, with the same jars
                raise


def tool(libs: Path, arguments: Sequence[str], folder: Path) -> str:
    """Run a Java program to its end and return what it printed.

    The arguments go through a private file, since one of them may hold a password, and the
    output is given to the caller alone: StorageTool prints salts and stored keys.
    """
    listed = folder / f"arguments-{os.getpid()}"
    words = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{libs}/*", *arguments]
    write_private(listed, "\n".join(f'"{_escaped(w)}"' for w in words))
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [java(), f"@{listed}"], capture_output=True, text=True, check=False, timeout=120
        )
    finally:
        listed.unlink()
    if done.returncode:
        message = f"{arguments[0]} ended with {done.returncode}: is this Java 17 or newer?"
        raise Unavailable("LOCAL_JAVA", message)
    return done.stdout


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"')
