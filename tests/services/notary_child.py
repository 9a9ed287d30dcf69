"""A notary in a process of its own that kills itself with SIGKILL at a step that it is told."""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from adapters import trail_files
from adapters.sqlite import notary_store
from domain.notary import Stands
from domain.trail.checkpoint import Checkpoint
from domain.trail.notes import Note, NoteSigning, Signature
from tests.services import notary_world
from tests.services.notary_witnesses import LOG, GoodWitness
from tests.services.notary_world import NotaryWorld

SIGNED, PUBLISHED, HELD = "signed.jsonl", "published.jsonl", "held.json"
STEPS = (
    *(f"file {n} written" for n in (1, 2, 3, 5)),
    *(f"file {n} named" for n in (1, 2, 3, 4)),
    "files durable",
    "tree asked for",
    "tree half decided",
    "tree decided",
    "before signing",
    "signed",
    "witness has cosigned",
    "before publishing",
    "checkpoint written",
    "published",
    "partial tiles removed",
)


class _Armed:
    """Kills the process when it comes to the step for the time that is asked for."""

    def __init__(self, step: str, time: int) -> None:
        self._step, self._left = step, time

    def at(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class _Signer:
    """The log's key; whatever it signs is written down first, durably."""

    def __init__(self, own: NoteSigning, folder: Path, armed: _Armed) -> None:
        self.key = own.key
        self._own, self._folder, self._armed = own, folder, armed

    def sign(self, message: bytes) -> bytes:
        self._armed.at("before signing")
        append(self._folder / SIGNED, Checkpoint.parse(message.decode()))
        signature = self._own.sign(message)
        self._armed.at("signed")
        return signature


class _Witness(GoodWitness):
    """Keeps what it cosigned, so that it remembers over restarts."""

    def __init__(self, name: str, folder: Path, armed: _Armed) -> None:
        super().__init__(name)
        self._file, self._armed = folder / f"{name}-{HELD}", armed
        if self._file.exists():
            origin, size, root = json.loads(self._file.read_text())
            self.held = Checkpoint(origin, size, bytes.fromhex(root))

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], note: bytes
    ) -> Sequence[Signature] | Stands:
        answer = super().add_checkpoint(old_size, proof, note)
        new = self._file.with_suffix(".new")  # whole or not: it dies with the notary
        new.write_text(json.dumps([*self.held[:2], self.held.root.hex()]))
        new.replace(self._file)
        self._armed.at("witness has cosigned")
        return answer


def append(file: Path, checkpoint: Checkpoint) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps([checkpoint.size, checkpoint.root.hex()]) + "\n")
        lines.flush()
        os.fsync(lines.fileno())


def _arm(world: NotaryWorld, armed: _Armed) -> None:
    """Put the steps into the real parts."""
    written, named, changed = trail_files.write_one, trail_files.name_one, notary_store.change
    numbers = {"written": count(1), "named": count(1)}

    def write_one(*arguments: Any) -> BinaryIO:
        file = written(*arguments)
        armed.at(f"file {next(numbers['written'])} written")
        return file

    def name_one(*arguments: Any) -> None:
        named(*arguments)
        armed.at(f"file {next(numbers['named'])} named")
        if arguments[0].name == "checkpoint":
            armed.at("checkpoint written")

    def change(*arguments: Any) -> None:
        changed(*arguments)
        armed.at("tree half decided")

    trail_files.write_one = write_one  # type: ignore[assignment]
    trail_files.name_one = name_one  # type: ignore[assignment]
    notary_store.change = change  # type: ignore[assignment]
    write, publish, remove = world.files.write, world.files.publish, world.files.remove
    advance = world.store.advance

    def written_all(files: Any) -> None:
        numbers.update(written=count(1), named=count(1))
        write(files)
        armed.at("files durable")

    def advanced(*arguments: Any) -> None:
        armed.at("tree asked for")
        advance(*arguments)
        armed.at("tree decided")

    def published(note: bytes) -> None:
        armed.at("before publishing")
        append(world.folder / PUBLISHED, Checkpoint.parse(Note.decode(note).text))
        publish(note)
        armed.at("published")

    def removed(folders: Sequence[str]) -> None:
        remove(folders)
        if folders:
            armed.at("partial tiles removed")

    world.files.write = written_all  # type: ignore[method-assign]
    world.store.advance = advanced  # type: ignore[method-assign, assignment]
    world.files.publish = published  # type: ignore[method-assign, assignment]
    world.files.remove = removed  # type: ignore[method-assign, assignment]


def work(folder: str, step: str, time: int) -> None:
    """Sequence and publish everything, or be killed at the step."""
    own, armed = Path(folder), _Armed(step, time)
    notary_world.LOG = _Signer(LOG, own, armed)  # type: ignore[attr-defined]
    witnesses = [_Witness(name, own, armed) for name in ("one", "two")]
    with closing(NotaryWorld(own, witnesses)) as world:
        _arm(world, armed)
        world.publishing.open()
        for _ in range(3):  # as the loops of a running notary do
            world.sequencer.step()
            world.publishing.step()


def run(folder: Path, step: str = "", time: int = 1) -> int:
    """Run it in a process of its own and return its exit code; -9 if it was killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=work, args=(str(folder), step, time))
    process.start()
    process.join()
    return sys.maxsize if process.exitcode is None else process.exitcode
