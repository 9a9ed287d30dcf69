"""A witness cosigns what continues the newest checkpoint and nothing else (C2SP tlog-witness)."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import HubError
from domain.trail import merkle
from domain.trail.checkpoint import Checkpoint, sign
from domain.trail.notes import Algorithm, Note, Signature, VerifierKey
from domain.witness import MAX_PROOF, MAX_REQUEST, AddCheckpoint
from services.http import witness as face
from tests.services.witness_face import NOW, Answer, in_memory, newest, serving
from tests.vectors import load
from tests.witnessed import Log, cosigned_at, origin_hash, witness_signer

LOG = Log()
TRANSCRIPT = load("litewitness")
SIZE_MEDIA = "text/x.tlog.size"


def code_of(answer: Answer) -> str:
    return answer.body.partition(b":")[0].decode()


async def test_a_log_that_grows_is_cosigned_step_by_step() -> None:
    async with serving() as witness:
        old = 0
        for size in (0, 1, 2, 3, 7, 8, 8, 300):
            answer = await witness.post(LOG.asks(old, size))
            assert (answer.status, answer.media) == (200, "text/plain")
            (line,) = answer.lines
            assert cosigned_at(LOG.checkpoint(size), witness_signer().key, line) == NOW
            old = size


async def test_every_key_of_the_witness_cosigns() -> None:
    ml_dsa = witness_signer(algorithm=Algorithm.ML_DSA_44_COSIGNATURE)
    signers = [witness_signer(), ml_dsa]
    async with serving(signers=signers) as witness:
        answer = await witness.post(LOG.asks(0, 5))
        held = [
            cosigned_at(LOG.checkpoint(5), s.key, line)
            for s, line in zip(signers, answer.lines, strict=True)
        ]
    assert held == [NOW, NOW]


async def test_the_transcript_of_an_independent_witness_is_answered_alike() -> None:
    origin = TRANSCRIPT["requests"][0]["body"].split("\n")[2]
    key = VerifierKey(origin, Algorithm.ED25519, bytes.fromhex(TRANSCRIPT["log_key"]))
    async with serving([key]) as witness:
        for asked in TRANSCRIPT["requests"]:
            answer = await witness.post(asked["body"].encode())
            assert answer.status == asked["status"], asked["body"]
            if "size" in asked:
                assert answer.media == SIZE_MEDIA
                assert answer.body == f"{asked['size']}\n".encode()


async def test_who_does_not_know_the_newest_size_is_told_it_and_can_go_on() -> None:
    async with serving() as witness:
        await witness.post(LOG.asks(0, 5))
        for old, size in ((0, 9), (3, 9), (7, 9), (0, 5), (3, 4)):
            answer = await witness.post(LOG.asks(old, size))
            assert (answer.status, answer.media, answer.body) == (409, SIZE_MEDIA, b"5\n")
        assert (await witness.post(LOG.asks(5, 9))).status == 200


async def test_a_log_that_forks_is_refused_and_both_notes_are_kept() -> None:
    fork = LOG.fork(3)
    async with serving() as witness:
        await witness.post(LOG.asks(0, 5))
        held = (await witness.ask("GET", f"/{origin_hash()}/checkpoint")).body
        answer = await witness.post(AddCheckpoint(5, (), fork.note(5)))
        assert (answer.status, code_of(answer)) == (422, "TWO_ROOTS")
        assert witness.store.forks() == {LOG.origin: (held, fork.note(5))}
        assert newest(witness.store, LOG) == LOG.checkpoint(5)
        metrics = (await witness.ask("GET", "/metrics")).body.decode()
        assert f'nrm_witness_forked{{log="{LOG.origin}"}} 1.0' in metrics


WRONG_PROOFS = {
    "none": LOG.asks(5, 9)._replace(proof=()),
    "one too many": AddCheckpoint(5, (*LOG.proof(5, 9), b"\1" * 32), LOG.note(9)),
    "one too few": AddCheckpoint(5, LOG.proof(5, 9)[:-1], LOG.note(9)),
    "for another size": AddCheckpoint(5, LOG.proof(4, 9), LOG.note(9)),
    "of a fork": LOG.fork(3).asks(5, 9),
    "of the true log for a fork": LOG.fork(3).asks(5, 9)._replace(proof=LOG.proof(5, 9)),
    "for the same size": AddCheckpoint(5, (b"\1" * 32,), LOG.note(5)),
}


async def test_a_wrong_proof_is_refused() -> None:
    async with serving() as witness:
        await witness.post(LOG.asks(0, 5))
        for what, wrong in WRONG_PROOFS.items():
            answer = await witness.post(wrong)
            assert (answer.status, code_of(answer)) == (422, "BAD_CONSISTENCY"), what
            assert newest(witness.store, LOG) == LOG.checkpoint(5)
        assert (await witness.post(LOG.asks(5, 9))).status == 200


async def test_about_an_empty_tree_nothing_is_to_be_proved() -> None:
    async with serving() as witness:
        answer = await witness.post(AddCheckpoint(0, (b"\1" * 32,), LOG.note(5)))
        assert answer.status == 422
        assert newest(witness.store, LOG) is None


async def test_a_tree_does_not_shrink() -> None:
    async with serving() as witness:
        await witness.post(LOG.asks(0, 5))
        answer = await witness.post(AddCheckpoint(5, (), LOG.note(4)))
        assert (answer.status, code_of(answer)) == (400, "OLD_SIZE")
        assert newest(witness.store, LOG) == LOG.checkpoint(5)


async def test_an_unknown_log_is_not_found() -> None:
    stranger = Log("stranger.example/trail")
    async with serving() as witness:
        answer = await witness.post(stranger.asks(0, 5))
        assert (answer.status, code_of(answer)) == (404, "UNKNOWN_LOG")
        assert newest(witness.store, stranger) is None


def signed(text: str, *lines: str) -> AddCheckpoint:
    return AddCheckpoint(0, (), (text + "\n" + "".join(lines)).encode())


def line_of(size: int, log: Log = LOG) -> str:
    return sign(log.checkpoint(size), log.signer, 0).line


def forged() -> str:
    good = sign(LOG.checkpoint(5), LOG.signer, 0)
    return good._replace(value=bytes([good.value[0] ^ 1]) + good.value[1:]).line


STRANGER = Signature("stranger.example/trail", b"\1\2\3\4", b"\5" * 64).line
TEXT = LOG.checkpoint(5).text

BAD_SIGNATURES = {
    "by nobody known": [STRANGER],
    "forged": [forged()],
    "of another size": [line_of(4)],
    "of another log": [sign(LOG.checkpoint(5), Log("other/trail").signer, 0).line],
    "forged beside a stranger's": [STRANGER, forged()],
}


async def test_what_the_log_did_not_sign_is_forbidden() -> None:
    async with serving() as witness:
        for what, lines in BAD_SIGNATURES.items():
            answer = await witness.post(signed(TEXT, *lines))
            assert (answer.status, code_of(answer)) == (403, "LOG_SIGNATURE"), what
        assert newest(witness.store, LOG) is None


async def test_signatures_of_strangers_are_ignored() -> None:
    async with serving() as witness:
        assert (await witness.post(signed(TEXT, STRANGER, line_of(5), STRANGER))).status == 200
        shown = (await witness.ask("GET", f"/{origin_hash()}/checkpoint")).body
    assert STRANGER.encode() not in shown


MALFORMED = {
    "nothing": b"",
    "no checkpoint": b"old 0\n\n",
    "no empty line": b"old 0\n" + LOG.note(5).replace(b"\n\n", b"\n"),
    "no signature": b"old 0\n\n" + LOG.checkpoint(5).text.encode(),
    "a signature twice": signed(TEXT, line_of(5), line_of(5)).encode(),
    "a broken signature line": signed(TEXT, line_of(5).replace(" ", "  ")).encode(),
    "an extension line": signed(f"{TEXT}more\n", line_of(5)).encode(),
    "a negative size": signed(TEXT.replace("\n5\n", "\n-5\n"), line_of(5)).encode(),
    "a short root": signed(f"{LOG.origin}\n5\nAQE=\n", line_of(5)).encode(),
    "a root for nothing": signed(TEXT.replace("\n5\n", "\n0\n"), line_of(5)).encode(),
    "no UTF-8": b"old 0\n\n" + LOG.note(5) + b"\xff",
    "a proof too long": AddCheckpoint(5, (b"\1" * 32,) * (MAX_PROOF + 1), LOG.note(9)).encode(),
    "a body of another kind": b'{"old": 0}',
}


async def test_what_is_no_request_is_bad() -> None:
    async with serving() as witness:
        for what, body in MALFORMED.items():
            answer = await witness.post(body)
            assert (answer.status, answer.media) == (400, "text/plain"), what
        assert newest(witness.store, LOG) is None


async def test_a_request_has_a_largest_size() -> None:
    async with serving() as witness:
        answer = await witness.post(LOG.asks(0, 5).encode() + b"\n" * MAX_REQUEST)
        assert (answer.status, code_of(answer)) == (413, "TOO_LARGE")


async def test_a_request_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "READ_SECONDS", 0.05)
    async with serving() as witness:
        host, port = witness.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 99\r\n\r\nold 0\n"
        )
        assert b" 408 " in await asyncio.wait_for(reader.readline(), 30)
        writer.close()


async def test_of_two_at_once_one_is_cosigned_and_the_other_told_the_size() -> None:
    async with serving() as witness:
        await witness.post(LOG.asks(0, 5))
        asked = [LOG.asks(5, 9), LOG.fork(5).asks(5, 9), LOG.fork(5, "third ").asks(5, 9)]
        answers = await asyncio.gather(*(witness.post(a) for a in asked))
        assert sorted(a.status for a in answers) == [200, 409, 409]
        assert {a.body for a in answers if a.status == 409} == {b"9\n"}


class Overtaken:
    """While it looks at a checkpoint, another request is answered."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], object] | None = None

    async def confirm(self, checkpoint: Checkpoint) -> None:
        if self.meanwhile is not None and checkpoint.size == 7:
            await self.meanwhile()  # type: ignore[misc] # it posts


async def test_who_was_overtaken_rolls_nothing_back() -> None:
    slow = Overtaken()
    async with serving(confirming=slow) as witness:
        await witness.post(LOG.asks(0, 5))
        slow.meanwhile = lambda: witness.post(LOG.asks(5, 9))
        answer = await witness.post(LOG.asks(5, 7))
        assert (answer.status, answer.body) == (409, b"9\n")
        assert newest(witness.store, LOG) == LOG.checkpoint(9)


branches = st.sampled_from([LOG, LOG.fork(3), LOG.fork(5), LOG.fork(3, "third ")])
sizes = st.integers(0, 8)


@given(st.lists(st.tuples(branches, sizes, sizes), max_size=30))
def test_whatever_is_asked_one_line_of_trees_is_cosigned(
    asked: list[tuple[Log, int, int]],
) -> None:
    """And what continues the newest one always is: nobody can shut an honest log out."""
    witness, store = in_memory()
    held = Checkpoint(LOG.origin, 0, merkle.EMPTY_ROOT)
    for log, old, size in asked:
        checkpoint = log.checkpoint(size)
        request = AddCheckpoint(old, log.proof(min(old, size), size), log.note(size))
        continues = old == held.size <= size and log.checkpoint(old).root == held.root
        try:
            asyncio.run(witness.add_checkpoint(request))
        except HubError:
            assert not continues
        else:
            assert continues
            held = checkpoint
        assert newest(store, LOG) == (held if held.size or newest(store, LOG) else None)
    store.close()


async def test_the_newest_checkpoint_is_shown_with_both_signatures() -> None:
    async with serving() as witness:
        path = f"/{origin_hash()}/checkpoint"
        assert (await witness.ask("GET", path)).status == 404
        lines = (await witness.post(LOG.asks(0, 5))).lines
        answer = await witness.ask("GET", path)
        assert (answer.status, answer.media) == (200, "text/plain")
        shown = Note.decode(answer.body)
        assert shown.text == LOG.checkpoint(5).text
        assert [s.line for s in shown.signatures] == [line_of(5), lines[0].line]
        for other in (origin_hash("other"), origin_hash().upper(), "x"):
            assert (await witness.ask("GET", f"/{other}/checkpoint")).status == 404


async def test_answers_are_counted_by_their_code() -> None:
    async with serving() as witness:
        await witness.post(LOG.asks(0, 5))
        await witness.post(b"")
        await witness.post(LOG.asks(0, 9))
        metrics = (await witness.ask("GET", "/metrics")).body.decode()
    for code in ("COSIGNED", "WITNESS_REQUEST", "OTHER_SIZE"):
        assert f'nrm_witness_answers_total{{code="{code}"}} 1.0' in metrics
    assert f'nrm_witness_checkpoint_entries{{log="{LOG.origin}"}} 5.0' in metrics
    assert f'nrm_witness_cosigned_timestamp_seconds{{log="{LOG.origin}"}} 1.7e+09' in metrics
