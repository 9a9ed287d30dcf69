"""A directory of secrets, one file each, under a key stretched from a passphrase.

Files are replaced whole and made durable before a call returns. A directory or file that
others may read, or that belongs to somebody else, is refused. Layout: docs/formats.md.
"""

import errno
import os
import re
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from domain.errors import Conflict, Corrupt, Malformed, NotAuthentic, Refused, Unavailable
from domain.secret import Secret

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SUFFIX = ".secret"
_SALT_FILE = "keystore.salt"
_KEYSTORE = b"nrm-keystore/1\x00"
_SECRET = b"nrm-secret/1\x00"
_COST = struct.Struct(">IIB")
_NONCE_SIZE = 12
_SALT_SIZE = 16
_MAX_SECRET = 1 << 16
_MAX_FILE = _MAX_SECRET + 64
_MAX_MEMORY_KIB = 1 << 20
_MAX_ITERATIONS = 16
_MAX_LANES = 16
_OTHERS = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one guess of the passphrase costs (Argon2id, RFC 9106)."""

    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 1

    @property
    def bearable(self) -> bool:
        """Whether Argon2id allows it and no machine is held up by it: up to 1 GiB, 16, 16."""
        return (
            1 <= self.lanes <= _MAX_LANES
            and 8 * self.lanes <= self.memory_kib <= _MAX_MEMORY_KIB
            and 1 <= self.iterations <= _MAX_ITERATIONS
        )


class FileKeystore:
    """`Keystore`. The passphrase is stretched once, when the keystore is opened.

    `cost` counts when the keystore is made; afterwards the one written there does.
    """

    def __init__(self, directory: Path, passphrase: Secret, cost: Cost | None = None) -> None:
        if not passphrase.reveal():
            raise Malformed("KEYSTORE_PASSPHRASE_EMPTY", "give the keystore a passphrase")
        self._directory = directory
        with _io():
            _open_directory(directory)
            if not (directory / _SALT_FILE).exists():
                self._make(passphrase, cost or Cost())
            self._aead = self._unlock(passphrase)

    @staticmethod
    def holds(directory: Path, name: str) -> bool:
        """Return whether a secret called `name` lies in a directory; nothing is made or opened."""
        with _io():
            return (directory / _file_name(name)).is_file()

    def get(self, name: str) -> Secret:
        """Return the secret called `name`."""
        file = self._directory / _file_name(name)
        with _io():
            try:
                data = _read(file)
            except FileNotFoundError:
                raise Refused("NO_SECRET", f"the keystore holds no secret {name}") from None
        if not data.startswith(_SECRET):
            raise _damaged(f"secret {name}")
        nonce_at, sealed_at = len(_SECRET), len(_SECRET) + _NONCE_SIZE
        try:
            clear = self._aead.decrypt(
                data[nonce_at:sealed_at], data[sealed_at:], _SECRET + name.encode()
            )
        except (InvalidTag, ValueError):
            raise _damaged(f"secret {name}") from None
        return Secret(clear)

    def put(self, name: str, secret: Secret) -> None:
        """Write `secret` under `name`, in place of an older one."""
        file, data = self._directory / _file_name(name), self._seal(name, secret)
        with _io(), _written(self._directory, data) as temporary:
            temporary.replace(file)

    def create(self, name: str, size: int = 32) -> Secret:
        """Make, keep and return a random secret; `Conflict` SECRET_EXISTS if there is one."""
        file, secret = self._directory / _file_name(name), Secret(os.urandom(size))
        with _io(), _written(self._directory, self._seal(name, secret)) as temporary:
            try:
                file.hardlink_to(temporary)
            except FileExistsError:
                raise Conflict("SECRET_EXISTS", f"the keystore holds {name} already") from None
        return secret

    def names(self) -> Sequence[str]:
        """Return the names of the secrets in order."""
        with _io():
            return sorted(p.name.removesuffix(_SUFFIX) for p in _secrets(self._directory))

    def _seal(self, name: str, secret: Secret) -> bytes:
        clear, nonce = secret.reveal(), os.urandom(_NONCE_SIZE)
        if len(clear) > _MAX_SECRET:
            raise Malformed("SECRET_SIZE", f"a secret is at most {_MAX_SECRET} bytes")
        return _SECRET + nonce + self._aead.encrypt(nonce, clear, _SECRET + name.encode())

    def _make(self, passphrase: Secret, cost: Cost) -> None:
        if not cost.bearable:
            raise Malformed("KEYSTORE_COST", "up to 1048576 KiB, 16 iterations and 16 lanes")
        if any(_secrets(self._directory)):
            raise _damaged(_SALT_FILE)
        salt, nonce = os.urandom(_SALT_SIZE), os.urandom(_NONCE_SIZE)
        head = _KEYSTORE + _COST.pack(cost.memory_kib, cost.iterations, cost.lanes) + salt
        check = _cipher(passphrase, cost, salt).encrypt(nonce, b"", head)
        with _written(self._directory, head + nonce + check) as temporary:
            try:
                (self._directory / _SALT_FILE).hardlink_to(temporary)
            except FileExistsError:
                return  # another process was first; its file is the one to unlock

    def _unlock(self, passphrase: Secret) -> AESGCM:
        data = _read(self._directory / _SALT_FILE)
        salt_at, nonce_at = len(_KEYSTORE) + _COST.size, len(_KEYSTORE) + _COST.size + _SALT_SIZE
        if not data.startswith(_KEYSTORE) or len(data) != nonce_at + _NONCE_SIZE + 16:
            raise _damaged(_SALT_FILE)
        memory_kib, iterations, lanes = _COST.unpack_from(data, len(_KEYSTORE))
        cost = Cost(memory_kib=memory_kib, iterations=iterations, lanes=lanes)
        if not cost.bearable:
            raise _damaged(_SALT_FILE)
        aead = _cipher(passphrase, cost, data[salt_at:nonce_at])
        nonce, check = data[nonce_at : nonce_at + _NONCE_SIZE], data[nonce_at + _NONCE_SIZE :]
        try:
            aead.decrypt(nonce, check, data[:nonce_at])
        except InvalidTag:
            raise NotAuthentic(
                "KEYSTORE_PASSPHRASE", f"wrong passphrase, or {_SALT_FILE} was altered"
            ) from None
        return aead


def _cipher(passphrase: Secret, cost: Cost, salt: bytes) -> AESGCM:
    kdf = Argon2id(
        salt=salt,
        length=32,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    return AESGCM(kdf.derive(passphrase.reveal()))


def _file_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Malformed("KEYSTORE_NAME", "a name is 1 to 64 of a-z 0-9 . _ -")
    return name + _SUFFIX


def _secrets(directory: Path) -> Iterator[Path]:
    return (p for p in directory.iterdir() if p.suffix == _SUFFIX and p.name[0] != ".")


def _open_directory(directory: Path) -> None:
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync(directory.parent)
    _check_private(directory.stat(), directory.name)


def _read(file: Path) -> bytes:
    # O_NONBLOCK: opening a pipe must not wait for a writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(file, flags), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Refused("KEYSTORE_PERMISSIONS", f"{file.name} is no regular file")
        _check_private(status, file.name)
        return stream.read(_MAX_FILE)


def _check_private(status: os.stat_result, name: str) -> None:
    if status.st_uid != os.geteuid():
        raise Refused("KEYSTORE_PERMISSIONS", f"{name} belongs to user {status.st_uid}; chown it")
    if status.st_mode & _OTHERS:
        mode = f"{stat.S_IMODE(status.st_mode):o}"
        raise Refused("KEYSTORE_PERMISSIONS", f"{name} has mode {mode}; take away group and others")


@contextmanager
def _written(directory: Path, data: bytes) -> Iterator[Path]:
    """Yield a durable temporary file of mode 0600; make durable what the caller does with it."""
    descriptor, path = mkstemp(dir=directory, prefix=".", suffix=".new")
    temporary = Path(path)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
    _sync(directory)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _io() -> Iterator[None]:
    try:
        yield
    except OSError as e:
        if e.errno == errno.ELOOP:
            raise Refused("KEYSTORE_PERMISSIONS", "a keystore file is a symbolic link") from None
        raise Unavailable("KEYSTORE_IO", f"the keystore's disk answered {e.strerror}") from e


def _damaged(what: str) -> Corrupt:
    return Corrupt("KEYSTORE_DAMAGED", f"{what} is damaged or gone; restore the directory")
