"""The file keystore on a real file system: rights, damage, wrong passphrases, kills."""

import os
import signal
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.keystore import Cost, FileKeystore
from domain.errors import (
    Conflict,
    Corrupt,
    HubError,
    Malformed,
    NotAuthentic,
    Refused,
    Unavailable,
)
from domain.secret import Keystore, Secret

FAST = Cost(memory_kib=64, iterations=1)
PASSPHRASE = Secret(b"an invented passphrase")
SECRET = Secret(b"an invented secret")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def opened(directory: Path, passphrase: Secret = PASSPHRASE) -> FileKeystore:
    return FileKeystore(directory, passphrase, FAST)


def test_a_secret_is_there_when_the_keystore_is_opened_again(directory: Path) -> None:
    keystore: Keystore = opened(directory)
    keystore.put("signing", SECRET)
    assert opened(directory).get("signing").reveal() == SECRET.reveal()


def test_no_secret_stands_readable_in_a_file(directory: Path) -> None:
    opened(directory).put("signing", SECRET)
    for file in directory.iterdir():
        assert SECRET.reveal() not in file.read_bytes()
        assert PASSPHRASE.reveal() not in file.read_bytes()


def test_a_secret_can_be_replaced(directory: Path) -> None:
    keystore = opened(directory)
    keystore.put("signing", SECRET)
    keystore.put("signing", Secret(b"newer"))
    assert keystore.get("signing").reveal() == b"newer"
    assert keystore.names() == ["signing"]


def test_names_come_in_order_and_without_foreign_files(directory: Path) -> None:
    keystore = opened(directory)
    for name in ("signing", "opening", "box.2"):
        keystore.create(name)
    (directory / "README").write_text("not a secret")
    (directory / ".left-over.secret").write_text("of a crash")
    assert keystore.names() == ["box.2", "opening", "signing"]


def test_a_missing_secret_is_refused(directory: Path) -> None:
    with pytest.raises(Refused) as refusal:
        opened(directory).get("signing")
    assert refusal.value.code == "NO_SECRET"


def test_whether_a_secret_lies_there_is_told_without_making_a_keystore(directory: Path) -> None:
    assert not FileKeystore.holds(directory, "signing")
    assert not directory.exists()
    opened(directory).create("signing")
    assert FileKeystore.holds(directory, "signing")
    assert not FileKeystore.holds(directory, "opening")


def test_a_created_secret_is_random_kept_and_never_overwritten(directory: Path) -> None:
    keystore = opened(directory)
    made = keystore.create("signing", 48)
    assert len(made.reveal()) == 48
    assert keystore.create("opening").reveal() != made.reveal()[:32]
    with pytest.raises(Conflict) as refusal:
        keystore.create("signing")
    assert refusal.value.code == "SECRET_EXISTS"
    assert keystore.get("signing").reveal() == made.reveal()


def test_of_many_who_create_one_name_one_wins(directory: Path) -> None:
    keystore = opened(directory)

    def create(_: int) -> bytes | None:
        try:
            return keystore.create("signing").reveal()
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [secret for secret in pool.map(create, range(16)) if secret]
    assert made == [keystore.get("signing").reveal()]


def test_of_many_who_make_the_keystore_all_open_the_same(directory: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keystores = list(pool.map(lambda _: opened(directory), range(8)))
    keystores[0].put("signing", SECRET)
    assert {k.get("signing").reveal() for k in keystores} == {SECRET.reveal()}


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../signing", "a/b", "a\x00b", "Signing", "é", ".hidden", "x" * 65]
)
def test_a_name_cannot_leave_the_directory(directory: Path, name: str) -> None:
    keystore = opened(directory)
    for use in (keystore.get, keystore.create, lambda n: keystore.put(n, SECRET)):
        with pytest.raises(Malformed) as refusal:
            use(name)
        assert refusal.value.code == "KEYSTORE_NAME"


# Passphrase and cost


def test_a_wrong_passphrase_is_told_at_once(directory: Path) -> None:
    opened(directory).put("signing", SECRET)
    with pytest.raises(NotAuthentic) as refusal:
        opened(directory, Secret(b"another"))
    assert refusal.value.code == "KEYSTORE_PASSPHRASE"
    assert "another" not in str(refusal.value)


def test_an_empty_passphrase_is_refused(directory: Path) -> None:
    with pytest.raises(Malformed):
        opened(directory, Secret(b""))


def test_the_default_cost_is_64_mib_three_times(directory: Path) -> None:
    assert Cost() == Cost(memory_kib=65536, iterations=3, lanes=1)
    FileKeystore(directory, PASSPHRASE)
    assert struct.unpack_from(">IIB", (directory / "keystore.salt").read_bytes(), 15) == (
        65536,
        3,
        1,
    )


def test_the_cost_in_the_file_counts_when_it_is_opened_again(directory: Path) -> None:
    opened(directory).put("signing", SECRET)
    again = FileKeystore(directory, PASSPHRASE, Cost(memory_kib=128, iterations=2))
    assert again.get("signing").reveal() == SECRET.reveal()


@pytest.mark.parametrize(
    "cost",
    [
        Cost(memory_kib=2**20 + 1),
        Cost(memory_kib=7),
        Cost(memory_kib=8, lanes=2),
        Cost(iterations=0),
        Cost(iterations=17),
        Cost(lanes=0),
        Cost(memory_kib=2**20, lanes=17),
    ],
)
def test_an_unbearable_cost_is_refused_when_given_and_when_read(
    directory: Path, tmp_path: Path, cost: Cost
) -> None:
    with pytest.raises(Malformed):
        FileKeystore(tmp_path / "other", PASSPHRASE, cost)
    opened(directory)
    salt = directory / "keystore.salt"
    data = bytearray(salt.read_bytes())
    struct.pack_into(">IIB", data, 15, cost.memory_kib, cost.iterations, cost.lanes)
    salt.write_bytes(data)
    with pytest.raises(Corrupt) as failure:
        opened(directory)
    assert failure.value.code == "KEYSTORE_DAMAGED"


def test_the_cost_cannot_be_lowered_in_the_file(directory: Path) -> None:
    opened(directory)
    salt = directory / "keystore.salt"
    data = bytearray(salt.read_bytes())
    struct.pack_into(">I", data, 15, FAST.memory_kib - 8)
    salt.write_bytes(data)
    with pytest.raises(NotAuthentic):
        opened(directory)


# Damage


@given(at=st.integers(0), bit=st.integers(0, 7))
def test_no_bit_of_a_secret_file_can_be_flipped(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    directory = tmp_path_factory.mktemp("keys")
    keystore = opened(directory)
    keystore.put("signing", SECRET)
    file = directory / "signing.secret"
    data = bytearray(file.read_bytes())
    data[at % len(data)] ^= 1 << bit
    file.write_bytes(data)
    with pytest.raises(Corrupt) as failure:
        keystore.get("signing")
    assert failure.value.code == "KEYSTORE_DAMAGED"


@pytest.mark.parametrize("size", [0, 5, 13, 20, 30, 45])
def test_a_cut_secret_file_is_found(directory: Path, size: int) -> None:
    keystore = opened(directory)
    keystore.put("signing", SECRET)
    file = directory / "signing.secret"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(Corrupt):
        keystore.get("signing")


def test_a_secret_file_under_another_name_is_found(directory: Path) -> None:
    keystore = opened(directory)
    keystore.put("signing", SECRET)
    (directory / "signing.secret").rename(directory / "opening.secret")
    with pytest.raises(Corrupt):
        keystore.get("opening")


@pytest.mark.parametrize("data", [b"", b"nrm-keystore/1\x00", b"x" * 68])
def test_a_damaged_salt_file_is_found(directory: Path, data: bytes) -> None:
    opened(directory)
    (directory / "keystore.salt").write_bytes(data)
    with pytest.raises(Corrupt):
        opened(directory)


def test_a_lost_salt_file_is_not_made_anew_over_secrets(directory: Path) -> None:
    opened(directory).put("signing", SECRET)
    (directory / "keystore.salt").unlink()
    with pytest.raises(Corrupt):
        opened(directory)
    assert not (directory / "keystore.salt").exists()


def test_a_lost_directory_is_an_outage(directory: Path) -> None:
    keystore = opened(directory)
    (directory / "keystore.salt").unlink()
    directory.rmdir()
    with pytest.raises(Unavailable):
        keystore.put("signing", SECRET)


def test_a_secret_too_large_to_be_read_back_is_refused(directory: Path) -> None:
    keystore = opened(directory)
    largest = Secret(bytes(1 << 16))
    keystore.put("large", largest)
    assert keystore.get("large").reveal() == largest.reveal()
    with pytest.raises(Malformed):
        keystore.put("large", Secret(bytes((1 << 16) + 1)))


# Rights


def test_files_are_for_their_owner_alone_whatever_the_umask(directory: Path) -> None:
    before = os.umask(0)
    try:
        opened(directory).put("signing", SECRET)
    finally:
        os.umask(before)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {f.stat().st_mode & 0o777 for f in directory.iterdir()} == {0o600}


def refusal_of(directory: Path) -> str:
    with pytest.raises(HubError) as refusal:
        opened(directory).get("signing")
    return refusal.value.code


@pytest.mark.parametrize("mode", [0o710, 0o750, 0o770, 0o701, 0o777])
def test_a_directory_open_to_others_is_refused(directory: Path, mode: int) -> None:
    opened(directory).put("signing", SECRET)
    directory.chmod(mode)
    assert refusal_of(directory) == "KEYSTORE_PERMISSIONS"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
@pytest.mark.parametrize("name", ["signing.secret", "keystore.salt"])
def test_a_file_open_to_others_is_refused(directory: Path, name: str, mode: int) -> None:
    opened(directory).put("signing", SECRET)
    (directory / name).chmod(mode)
    assert refusal_of(directory) == "KEYSTORE_PERMISSIONS"


def test_somebody_elses_keystore_is_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(directory).put("signing", SECRET)
    somebody_else = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody_else)
    assert refusal_of(directory) == "KEYSTORE_PERMISSIONS"


def test_a_symbolic_link_is_not_followed(directory: Path, tmp_path: Path) -> None:
    opened(directory).put("signing", SECRET)
    (directory / "signing.secret").rename(tmp_path / "elsewhere")
    (directory / "signing.secret").symlink_to(tmp_path / "elsewhere")
    assert refusal_of(directory) == "KEYSTORE_PERMISSIONS"


def test_a_pipe_is_not_waited_for(directory: Path) -> None:
    opened(directory)
    os.mkfifo(directory / "signing.secret", 0o600)
    assert refusal_of(directory) == "KEYSTORE_PERMISSIONS"


# Kills

KILLED = """
import os, signal, sys
from pathlib import Path
from adapters.keystore import FileKeystore
from domain.secret import Secret

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

keystore = FileKeystore(Path(sys.argv[1]), Secret(b"an invented passphrase"))
if sys.argv[2] == "before":
    Path.replace = die
else:
    real = Path.replace
    Path.replace = lambda self, target: (real(self, target), die())
keystore.put("signing", Secret(b"newer"))
"""


@pytest.mark.parametrize(("moment", "left"), [("before", SECRET.reveal()), ("after", b"newer")])
def test_a_kill_leaves_the_old_secret_or_the_new_one(
    directory: Path, moment: str, left: bytes
) -> None:
    opened(directory).put("signing", SECRET)
    killed = subprocess.run(  # noqa: S603 - this very interpreter, on the text above
        [sys.executable, "-c", KILLED, str(directory), moment], cwd=ROOT, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    again = opened(directory)
    assert again.get("signing").reveal() == left
    assert again.names() == ["signing"]
    again.put("signing", Secret(b"newest"))
    assert again.get("signing").reveal() == b"newest"


def test_a_write_that_fails_leaves_the_old_secret_and_nothing_else(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystore = opened(directory)
    keystore.put("signing", SECRET)

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disk_full)
        with pytest.raises(Unavailable) as failure:
            keystore.put("signing", Secret(b"newer"))
    assert failure.value.code == "KEYSTORE_IO"
    assert keystore.get("signing").reveal() == SECRET.reveal()
    assert sorted(f.name for f in directory.iterdir()) == ["keystore.salt", "signing.secret"]
