"""A real PostgreSQL on loopback, kept in one folder; what it has committed survives kills.

It refuses to run as root, so root starts it as the user postgres. Passwords are SCRAM, random,
in a file that only their owner can read.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from domain.errors import Unavailable
from services.local.processes import FolderLock, Process, free_ports, until, write_private

USER = "nrm"
_SERVICE_USER = "postgres"
_SECONDS = 60
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "fsync": "on",  # durability is what the hub is tested for
    "synchronous_commit": "on",
}


class GivenPostgres:
    """A server that somebody else runs; `url` names it and a user who may create databases."""

    def __init__(self, url: str) -> None:
        self.url = url

    def dsn(self, database: str) -> str:
        """Return the address of `database`."""
        return urlunsplit(urlsplit(self.url)._replace(path="/" + quote(database, safe="")))

    def create_database(self, name: str) -> str:
        """Create an empty database; return its address."""
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.dsn(name)

    def has_database(self, name: str) -> bool:
        """Return whether there is such a database."""
        with psycopg.connect(self.url, connect_timeout=10) as connection:
            rows = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
            return rows.fetchone() is not None

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._run(drop.format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)


def given(env: Mapping[str, str]) -> GivenPostgres | None:
    """Return the server that NRM_DATABASE_URL names, if it does."""
    url = env.get("NRM_DATABASE_URL")
    return GivenPostgres(url) if url else None


class Postgres(GivenPostgres):
    """A server with its data in `folder`, or beside it where its user could not reach them."""

    def __init__(self, folder: Path) -> None:
        super().__init__("")
        self.folder = _reachable(folder.resolve())
        self._lock = FolderLock(self.folder)
        self._data = self.folder / "data"
        self._process = Process(pid_file=self._data / "postmaster.pid", mark=str(self._data))

    @property
    def password_file(self) -> Path:
        """Return the file of the password of the user nrm."""
        return self.folder / "password"

    def start(self) -> None:
        """Start the server, on the old data if there is any; return when it answers.

        What an earlier process left running in this folder is stopped first.
        """
        found = programs()
        self._lock.take()
        try:
            self._start(found)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server in order, connections or not, also that of a process that died.

        `Unavailable` LOCAL_IN_USE if it serves another process that lives.
        """
        self._lock.take()
        self._end()
        self._lock.release()

    def kill(self) -> None:
        """End the server at once, without a checkpoint: the next start has to recover."""
        self._process.end(signal.SIGQUIT, seconds=_SECONDS)

    def delete(self) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder)

    def pid(self) -> int | None:
        """Return the server's process id while it lives."""
        return self._process.pid()

    def _start(self, found: Path) -> None:
        self._end()
        if not (self.folder / "port").exists():
            self._make(found)
        port = (self.folder / "port").read_text()
        password = self.password_file.read_text()
        self.url = f"postgresql://{USER}:{password}@127.0.0.1:{port}/postgres"
        command = [str(found / "postgres"), "-D", str(self._data)]
        for name, value in (_SETTINGS | {"port": port}).items():
            command += ["-c", f"{name}={value}"]
        self._process.spawn(command, self.folder / "out.log", user=_runs_as(), cwd=self.folder)
        if not until(self._answers, seconds=_SECONDS):
            raise Unavailable("LOCAL_POSTGRES", f"it does not answer: read {self.folder}/out.log")

    def _end(self) -> None:
        if self._process.pid() is not None:
            self._process.end(signal.SIGINT, signal.SIGQUIT, seconds=_SECONDS)

    def _make(self, found: Path) -> None:
        """Make a new cluster; the file `port` is written last and says that it is complete."""
        shutil.rmtree(self._data, ignore_errors=True)
        write_private(self.password_file, secrets.token_urlsafe(24))
        user = _runs_as()
        if user:
            shutil.chown(self.password_file, user, user)
        command = [
            *(str(found / "initdb"), "--pgdata", str(self._data), "--username", USER),
            *("--auth", "scram-sha-256", "--pwfile", str(self.password_file)),
            *("--encoding", "UTF8", "--locale", "C"),
        ]
        with (self.folder / "out.log").open("ab") as out:
            done = subprocess.run(  # noqa: S603 - our own arguments
                command,
                stdout=out,
                stderr=out,
                check=False,
                timeout=_SECONDS,
                cwd=self.folder,
                user=user,
                group=user,
                extra_groups=[] if user else None,
            )
        if done.returncode:
            raise Unavailable("LOCAL_POSTGRES", f"initdb failed: read {self.folder}/out.log")
        (self.folder / "port").write_text(str(free_ports(1)[0]))

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _runs_as() -> str | None:
    """Return the user to become, or None to stay who we are."""
    return _SERVICE_USER if os.geteuid() == 0 else None


def programs() -> Path:
    """Return the folder of initdb and postgres, of the newest version there is."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(debian, key=lambda p: int(p.parts[-3]))
    found = newest[-1] if newest else shutil.which("initdb")
    if found is None:
        raise Unavailable("LOCAL_PROGRAM_MISSING", "no PostgreSQL: apt-get install postgresql")
    return Path(found).resolve().parent


def _reachable(folder: Path) -> Path:
    """Make `folder` for the server's user; where a parent shuts that user out, one in /tmp."""
    user = _runs_as()
    if user is None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
    try:
        owner = pwd.getpwnam(user).pw_uid
    except KeyError as e:
        raise Unavailable("LOCAL_PROGRAM_MISSING", "no user postgres: install postgresql") from e
    if not all(p.stat().st_mode & 0o001 for p in folder.parents if p.exists()):
        name = sha256(str(folder).encode()).hexdigest()[:12]
        folder = Path(tempfile.gettempdir(), f"nrm-postgres-{name}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid not in {0, owner}:
        raise Unavailable("LOCAL_FOLDER", f"{folder} belongs to somebody else: remove it")
    shutil.chown(folder, user, user)
    return folder
