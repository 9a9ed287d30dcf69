"""The worked example's checkpoint, a policy that asks for all who signed it, and what breaks it."""

from hypothesis import strategies as st

from adapters.notes import NoteVerifier
from domain.trail.notes import NoteVerifying
from domain.trail.quorum import Policy
from tests.vectors import load

VECTOR = load("checkpoint")
LOG, NGO, NEIGHBOUR = (key["vkey"] for key in VECTOR["keys"])
LINES = [key["line"] for key in VECTOR["keys"]]
VERIFIER: NoteVerifying = NoteVerifier()

POLICY_TEXT = f"""\
# the log and both who watch it
log {LOG}
witness ngo {NGO}
witness neighbour {NEIGHBOUR} https://nrm.neighbour.example/witness
group both all ngo neighbour
quorum both
"""
POLICY = Policy.parse(POLICY_TEXT.encode())


def note(*lines: str) -> bytes:
    """The checkpoint with these signature lines."""
    return f"{VECTOR['text']}\n{''.join(lines)}".encode()


SIGNED = note(*LINES)


@st.composite
def broken(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole` with bytes changed, put in or taken out at one place."""
    at = draw(st.integers(0, len(whole) - 1))
    end = draw(st.integers(at, min(at + 8, len(whole))) | st.just(len(whole)))
    put = draw(st.binary(max_size=4) | st.sampled_from([b"\n", b" ", b"=", b"\n\n", b"0"]))
    changed = whole[:at] + put + whole[end:]
    return changed if changed != whole else whole[:at] + whole[at + 1 :]
