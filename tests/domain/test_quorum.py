"""Trust policies (C2SP tlog-policy) and checkpoints opened under them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.notes import note_signer
from domain.errors import Malformed, NotAuthentic
from domain.secret import Secret
from domain.trail.checkpoint import Checkpoint, sign
from domain.trail.notes import Algorithm, NoteSigning, VerifierKey
from domain.trail.quorum import MAX_DEFINITIONS, MAX_SIZE, NONE, Policy, open_checkpoint
from tests.domain.worked_example import (
    LINES,
    LOG,
    NEIGHBOUR,
    NGO,
    POLICY,
    POLICY_TEXT,
    SIGNED,
    VECTOR,
    VERIFIER,
    broken,
    note,
)
from tests.vectors import key

EXAMPLE = Checkpoint.parse(VECTOR["text"])


def a_key(label: str) -> str:
    return VerifierKey(label, Algorithm.ED25519_COSIGNATURE, key(label)).text


def policy(*lines: str) -> Policy:
    return Policy.parse(("\n".join(lines) + "\n").encode())


def a_signer(vkey: str) -> NoteSigning:
    """The signer of a key of the worked example."""
    (label,) = (k["seed_label"] for k in VECTOR["keys"] if k["vkey"] == vkey)
    public = VerifierKey.parse(vkey)
    return note_signer(public.name, public.algorithm, Secret(key(label)))


WITNESSES = [f"witness {name} {a_key(name)}" for name in ("x1", "x2", "x3", "y1", "y2", "y3")]
TWO_LEVELS = policy(
    *WITNESSES,
    "group X-witnesses 2 x1 x2 x3",
    "group Y-witnesses any y1 y2 y3",
    "group X-and-Y all X-witnesses Y-witnesses",
    "quorum X-and-Y",
)


def test_a_policy_names_logs_witnesses_groups_and_a_quorum() -> None:
    assert [k.text for k in POLICY.log_keys] == [LOG]
    assert {name: w.key.text for name, w in POLICY.witnesses.items()} == {
        "ngo": NGO,
        "neighbour": NEIGHBOUR,
    }
    assert POLICY.witnesses["ngo"].url is None
    assert POLICY.witnesses["neighbour"].url == "https://nrm.neighbour.example/witness"
    assert POLICY.quorum == "both"


def test_spaces_tabs_comments_and_empty_lines_say_nothing() -> None:
    spread = POLICY_TEXT.replace(" ", " \t ").replace("\n", " \n\n\t# é comment\n ")
    assert Policy.parse(spread.encode() + b"\n") == POLICY


@pytest.mark.parametrize(
    ("signed", "enough"),
    [
        ("x1 x2 y1", True),
        ("x1 x3 y3", True),
        ("x1 x2 x3 y1 y2 y3 stranger", True),
        ("x1 x2 x3", False),
        ("x1 y1 y2 y3", False),
        ("X-witnesses Y-witnesses X-and-Y", False),
        ("", False),
    ],
)
def test_a_group_stands_when_enough_of_its_members_do(*, signed: str, enough: bool) -> None:
    assert TWO_LEVELS.satisfied(signed.split()) is enough


def test_what_is_missing_is_said_in_words() -> None:
    assert TWO_LEVELS.missing(["x1", "x2", "y1"]) == ""
    assert TWO_LEVELS.missing(["x1"]) == (
        "X-and-Y (2 more of X-witnesses (1 more of x2, x3), Y-witnesses (1 more of y1, y2, y3))"
    )
    assert policy(WITNESSES[0], "quorum x1").missing([]) == "x1"


def test_no_quorum_asks_for_nobody() -> None:
    assert policy("quorum none").satisfied([])
    assert policy("quorum none").quorum == NONE


@given(st.sets(st.sampled_from(["x1", "x2", "x3", "y1", "y2", "y3"])), st.data())
def test_one_more_witness_never_breaks_a_quorum(names: set[str], data: st.DataObject) -> None:
    more = names | {data.draw(st.sampled_from(["x1", "x2", "x3", "y1", "y2", "y3"]))}
    assert TWO_LEVELS.satisfied(more) >= TWO_LEVELS.satisfied(names)
    assert TWO_LEVELS.satisfied(names) == (
        sum(n[0] == "x" for n in names) >= 2 and any(n[0] == "y" for n in names)
    )


@pytest.mark.parametrize(
    ("times", "at"),
    [
        ({"x1": 5, "x2": 7, "y1": 6}, 7),
        ({"x1": 5, "x2": 7, "x3": 9, "y1": 6, "y2": 1 << 62}, 7),
        ({"x1": 5, "x2": 7, "x3": 9}, None),
        ({"x1": 5, "x2": 5, "y1": 5, "stranger": 1}, 5),
        ({}, None),
    ],
)
def test_a_quorum_is_reached_when_enough_had_cosigned(times: dict[str, int], at: int) -> None:
    assert TWO_LEVELS.reached(times) == at


@pytest.mark.parametrize(
    ("lines", "number", "why"),
    [
        ([], 2, "without a quorum"),
        (["log"], 1, "its own words"),
        (["Log " + LOG], 1, "its own words"),
        (["log " + LOG + " url more"], 1, "its own words"),
        (["mirror m " + NGO], 1, "its own words"),
        (["witness w"], 1, "its own words"),
        (["group g all", "quorum none"], 1, "its own words"),
        (["quorum"], 1, "its own words"),
        (["quorum none none"], 1, "its own words"),
        (["quorum\u00a0none"], 1, "its own words"),
        (["log " + LOG[:-4]], 1, "32 bytes"),
        (["log " + LOG.replace("67c46c81", "67c46c82")], 1, "key id"),
        (["log " + NGO], 1, "type"),
        (["witness w " + LOG], 1, "type"),
        (["log " + LOG, "log " + LOG], 2, "earlier line"),
        (["witness a " + NGO, "", "witness b " + NGO], 3, "earlier line"),
        (["witness a " + NEIGHBOUR, "log " + NEIGHBOUR], 2, "earlier line"),
        (["witness a " + NGO, "witness a " + NEIGHBOUR], 2, "taken"),
        (["witness none " + NGO], 1, "taken"),
        (["witness a " + NGO, "group a any a"], 2, "taken"),
        (["group g any later", "witness later " + NGO], 1, "earlier line"),
        (["group g any g"], 1, "earlier line"),
        (["witness a " + NGO, "group g any none a"], 2, "earlier line"),
        (["witness a " + NGO, "group g any a a"], 2, "in a group already"),
        (["witness a " + NGO, "group g any a", "group h any a g"], 3, "in a group already"),
        (["witness a " + NGO, "group g 0 a"], 2, "number"),
        (["witness a " + NGO, "group g 2 a"], 2, "number"),
        (["witness a " + NGO, "group g 01 a"], 2, "number"),
        (["witness a " + NGO, "group g most a"], 2, "number"),
        (["quorum a"], 1, "earlier line"),
        (["quorum a", "witness a " + NGO], 1, "earlier line"),
        (["quorum none", "quorum none"], 2, "second"),
        (["quorum none", "\x00"], 2, "control"),
        (["quorum none", "# \x7f"], 2, "control"),
        (["quorum none\r"], 1, "control"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_line(
    lines: list[str], number: int, why: str
) -> None:
    with pytest.raises(Malformed, match=why) as refusal:
        policy(*lines)
    assert refusal.value.code == "POLICY"
    assert refusal.value.message.startswith(f"line {number}: ")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "line 1: .*without"),
        (b"quorum none", "line 1: .*cut off"),
        (POLICY_TEXT.encode()[:-2], "line 6: .*cut off"),
        (b"#\n# \xff\nquorum none\n", "line 2: not UTF-8"),
        (b"#" * MAX_SIZE + b"\nquorum none\n", "at most"),
        (
            b"".join(f"witness {n} {a_key(str(n))}\n".encode() for n in range(MAX_DEFINITIONS + 1)),
            f"line {MAX_DEFINITIONS + 1}: more than",
        ),
    ],
)
def test_a_file_that_is_no_policy_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why) as refusal:
        Policy.parse(data)
    assert refusal.value.code == "POLICY"


@given(broken(POLICY_TEXT.encode()))
def test_a_broken_policy_is_refused_or_still_one_that_can_be_met(data: bytes) -> None:
    try:
        read = Policy.parse(data)
    except Malformed:
        return
    assert read.satisfied(read.witnesses)
    members = [m for group in read.groups.values() for m in group.members]
    assert len(set(members)) == len(members)
    assert read.quorum in {NONE, *read.witnesses, *read.groups}


def test_a_checkpoint_opens_under_its_policy_and_says_who_saw_it_when() -> None:
    opened = open_checkpoint(SIGNED, POLICY, VERIFIER)
    assert opened.checkpoint == EXAMPLE
    assert opened.cosigned_s == {"ngo": 1767225607, "neighbour": 1767225608}


def test_signatures_of_strangers_are_ignored() -> None:
    alone = policy(f"log {LOG}", f"witness ngo {NGO}", "quorum none")
    assert open_checkpoint(SIGNED, alone, VERIFIER).cosigned_s == {"ngo": 1767225607}
    assert open_checkpoint(note(LINES[0]), alone, VERIFIER).cosigned_s == {}


def test_one_of_a_logs_keys_is_enough_and_only_the_quorum_asks_for_more() -> None:
    """So a stripped ML-DSA line of the log is no failure; that of a witness asked for is."""
    other = note_signer(EXAMPLE.origin, Algorithm.ML_DSA_44_COSIGNATURE, Secret(key("second")))
    asked = policy(f"log {LOG}", f"log {other.key.text}", f"witness w {NEIGHBOUR}", "quorum w")
    both = note(*LINES, sign(EXAMPLE, other, 1).line)
    assert open_checkpoint(both, asked, VERIFIER) == open_checkpoint(SIGNED, asked, VERIFIER)
    with pytest.raises(NotAuthentic, match="QUORUM"):
        open_checkpoint(note(*LINES[:2]), asked, VERIFIER)


ORIGIN = f"{EXAMPLE.origin}\n".encode()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (SIGNED[:-1], "NOTE"),
        (SIGNED.replace(b"\n", b"\r\n"), "NOTE"),
        (SIGNED + b"\n", "NOTE"),
        (SIGNED.replace(b"\n7\n", b"\n7 \n"), "CHECKPOINT"),
        (SIGNED.replace(ORIGIN, ORIGIN.replace(b"\n", b" \n"), 1), "ORIGIN"),
        (SIGNED.replace(ORIGIN, ORIGIN.replace(b"\n", b"\xe2\x80\x8b\n"), 1), "ORIGIN"),
        (b"\xef\xbb\xbf" + SIGNED, "ORIGIN"),
        (note(*LINES, LINES[0]), "NOTE"),
        (note(*LINES, LINES[1]), "NOTE"),
        (SIGNED.replace(b"\n7\n", b"\n07\n"), "CHECKPOINT"),
        (SIGNED.replace(b"hub.nrm", b"hub2.nrm"), "ORIGIN"),
        (note(*LINES[1:]), "LOG_SIGNATURE"),
        (SIGNED.replace(b"\n7\n", b"\n8\n"), "LOG_SIGNATURE"),
        (SIGNED.replace(b"Z8RsgZCb", b"Z8RsgZCc"), "LOG_SIGNATURE"),
        (SIGNED.replace(b"rrKg/gAAAABpVbkH", b"rrKg/gAAAABpVbkI"), "WITNESS_SIGNATURE"),
        (SIGNED.replace(b"r1eiJgAAAABpVbkI", b"r1eiJgAAAABpVbkH"), "WITNESS_SIGNATURE"),
        (note(*LINES[:2]), "QUORUM"),
        (SIGNED.replace(b"\xe2\x80\x94 ngo.", b"\xe2\x80\x94 ngq."), "QUORUM"),
    ],
)
def test_each_failure_has_its_code(data: bytes, code: str) -> None:
    with pytest.raises((Malformed, NotAuthentic)) as refusal:
        open_checkpoint(data, POLICY, VERIFIER)
    assert refusal.value.code == code


def test_a_forged_root_under_the_logs_own_key_lacks_its_witnesses() -> None:
    forged = EXAMPLE._replace(root=key("forged"))
    data = f"{forged.text}\n{sign(forged, a_signer(LOG), 0).line}".encode()
    with pytest.raises(NotAuthentic, match=r"both \(2 more of ngo, neighbour\)") as refusal:
        open_checkpoint(data, POLICY, VERIFIER)
    assert refusal.value.code == "QUORUM"
    with pytest.raises(NotAuthentic) as refusal:
        open_checkpoint(data + "".join(LINES[1:]).encode(), POLICY, VERIFIER)
    assert refusal.value.code == "WITNESS_SIGNATURE"


@pytest.mark.parametrize("vkey", [NGO, NEIGHBOUR])
def test_a_witness_never_leaves_out_the_time(vkey: str) -> None:
    timeless = sign(EXAMPLE, a_signer(vkey), 0).line
    asked = policy(f"log {LOG}", f"witness w {vkey}", "quorum w")
    with pytest.raises(NotAuthentic) as refusal:
        open_checkpoint(note(LINES[0], timeless), asked, VERIFIER)
    assert refusal.value.code == "WITNESS_SIGNATURE"


@given(broken(SIGNED))
def test_no_broken_checkpoint_opens(data: bytes) -> None:
    with pytest.raises((Malformed, NotAuthentic)):
        open_checkpoint(data, POLICY, VERIFIER)
