"""A witness killed at the worst moments: nothing it ever answered contradicts anything else."""

import threading
from pathlib import Path
from random import Random

from domain.witness import AddCheckpoint
from tests.services.witness_child import WitnessChild, is_cosigned
from tests.witnessed import Log, origin_hash

LOG = Log()
KILLS = 4


class History:
    """All cosignatures that left the witness: what nobody may ever be able to use against it."""

    def __init__(self) -> None:
        self.roots: dict[int, bytes] = {}
        self.size = 0

    def note(self, log: Log, asked: AddCheckpoint, answer: tuple[int, bytes]) -> bool:
        """Take an answer; return whether it was a cosignature."""
        status, body = answer
        if status != 200:
            return False
        assert is_cosigned(body)
        checkpoint = log.checkpoint(int(asked.note.split(b"\n")[1]))
        assert self.roots.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root
        assert checkpoint.size >= self.size
        self.size = checkpoint.size
        return True


def test_killed_between_commit_and_answer_it_knows_what_it_decided(tmp_path: Path) -> None:
    """The log never got the cosignature, and yet no fork of that size gets one."""
    history, size = History(), 0
    with WitnessChild(tmp_path, LOG.vkey) as child:
        child.start()
        for number in range(KILLS):
            old, size = size, size + 3 + number
            asked = LOG.asks(old, size)
            child.arm()
            assert child.ask(asked) == (0, b"")
            child.killed()
            child.start()
            fork = LOG.fork(old)
            for forked in (fork.asks(old, size), fork.asks(old, size + 1)):
                assert child.ask(forked) == (409, b"%d\n" % size)
            assert child.ask(AddCheckpoint(size, (), fork.note(size)))[0] == 422
            assert child.ask(asked) == (409, b"%d\n" % size)
            again = LOG.asks(size, size)
            assert history.note(LOG, again, child.ask(again))
        assert child.stop() == 0


def test_killed_at_any_moment_under_load_it_never_goes_back_or_forks(tmp_path: Path) -> None:
    """Two logs with one key race, as after a split; one of them is the log from then on."""
    rng, history = Random(1), History()  # noqa: S311 - moments, no key
    logs = [LOG, LOG.fork(0)]
    lock, ended = threading.Lock(), threading.Event()
    with WitnessChild(tmp_path, LOG.vkey) as child:

        def grow(log: Log) -> None:
            old = 0
            while not ended.is_set():
                asked = log.asks(old, min(old + 1, 200))
                with lock:  # so that answers are noted in the order in which they came
                    answer = child.ask(asked)
                    cosigned = history.note(log, asked, answer)
                if cosigned:
                    old = min(old + 1, 200)
                elif answer[0] == 409:
                    old = min(int(answer[1]), 200)

        threads = [threading.Thread(target=grow, args=(log,)) for log in logs]
        child.start()
        for thread in threads:
            thread.start()
        try:
            for _ in range(KILLS):
                reached = history.size
                while history.size < reached + rng.randrange(2, 12):
                    ended.wait(0.001)
                child.kill()
                child.start()
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        status, held = child.fetch(f"/{origin_hash()}/checkpoint")
        assert status == 200
        assert any(held.startswith(log.checkpoint(history.size).text.encode()) for log in logs)
