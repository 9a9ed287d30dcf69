"""Agencies that write cases without end, send each action until it is answered, and remember."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from uuid import uuid4

import httpx
import msgspec
from joserfc import jwt
from joserfc.jwk import OKPKey

from domain.action import Action, Outcome
from domain.messages import Answers, Submission
from services.bootstrap import COORDINATOR, now_ms
from services.http.auth import ASSERTION_TYPE, TokenIssuer, b64url
from services.local.processes import until
from tests.bench.cases import WrittenCase
from tests.failures.apart import ANSWER, LIMIT, Apart, Part

PAUSE = 0.02
_AGAIN = 0.1


class Client:
    """One agency before the hubs."""

    def __init__(self, apart: Apart, agency: str) -> None:
        self._apart = apart
        self.agency = agency
        self._http = httpx.Client(timeout=ANSWER)

    def close(self) -> None:
        self._http.close()

    def token(self, hub: Part) -> str:
        """Return an access token as `hub` would give it by its clock."""
        secret = self._apart.parts.secret("hub", "tokens")
        ahead = hub.clock.ahead_ms if hub.clock else 0
        issuer = TokenIssuer("", lambda _: None, lambda: now_ms() + ahead, secret)
        return issuer.issue(self.agency)

    def asks_for_token(self, hub: Part) -> httpx.Response:
        """Return what `hub` answers to a proof of who the agency is (RFC 7523)."""
        town = self._apart.town
        now = now_ms() // 1000
        claims = {
            "iss": self.agency,
            "sub": self.agency,
            "aud": hub.address,
            "exp": now + 120,
            "jti": str(uuid4()),
        }
        public = b64url(town.sealer(self.agency).public_key)
        seed = b64url(town.seed(self.agency).reveal())
        key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": public, "d": seed})
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": jwt.encode({"alg": "Ed25519"}, claims, key, algorithms=["Ed25519"]),
        }
        return self._http.post(hub.address + "/oauth/token", data=form)

    def get(self, hub: Part, path: str, token: str = "") -> httpx.Response:
        return self._http.get(hub.address + path, headers=_bearer(token or self.token(hub)))

    def send(self, hub: Part, actions: Sequence[Action], token: str = "") -> httpx.Response:
        """Return the answer of `hub` to `actions`, the same bytes each time."""
        body = msgspec.json.encode(Submission(actions=tuple(actions)))
        return self._http.post(
            hub.address + "/v1/actions", content=body, headers=_bearer(token or self.token(hub))
        )


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def outcomes(answer: httpx.Response) -> tuple[Outcome, ...]:
    """Return the outcomes in an answer, which must be one."""
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=Answers).outcomes


def register(apart: Apart, hub: Part) -> None:
    """Let every agency in."""
    client = Client(apart, COORDINATOR)
    found = outcomes(client.send(hub, apart.town.facts()))
    client.close()
    assert all(o.accepted for o in found), found


@dataclass(frozen=True, slots=True)
class Refusal:
    """One answer that was none of the action's: when it came, and what it said."""

    seconds: float
    answer: httpx.Response


class Writer(threading.Thread):
    """A pair of agencies. Each action goes to one hub after the other until one answers."""

    def __init__(self, apart: Apart, number: int, hubs: Sequence[Part]) -> None:
        super().__init__()
        self.answered: list[tuple[str, tuple[Action, ...], tuple[Outcome, ...]]] = []
        self.refusals: list[Refusal] = []
        self.slowest = 0.0
        """Seconds that the slowest answer took, of those that came."""
        self.over = threading.Event()
        self.broken: BaseException | None = None
        self.clients = {
            agency: Client(apart, agency)
            for agency in (apart.town.openers[number], apart.town.providers[number])
        }
        self._apart = apart
        self._hubs = cycle(hubs)

    def run(self) -> None:
        try:
            while not self.over.is_set():
                self._write_case()
        except BaseException as e:  # noqa: BLE001 - told to who waits for the writer
            self.broken = e

    def _write_case(self) -> None:
        for step in WrittenCase(self._apart.town, *self.clients).steps():
            self._send(step[0][0], tuple(action for _, action in step))
            if self.over.wait(PAUSE):
                return

    def _send(self, agency: str, actions: tuple[Action, ...]) -> None:
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            hub, began = next(self._hubs), time.monotonic()
            try:
                answer = self.clients[agency].send(hub, actions)
            except httpx.TransportError:
                time.sleep(_AGAIN)  # the hub itself is away
                continue
            took = time.monotonic() - began
            if answer.status_code != 200:
                self.refusals.append(Refusal(took, answer))
                time.sleep(_AGAIN)
                continue
            self.slowest = max(self.slowest, took)
            found = outcomes(answer)
            assert all(o.recorded for o in found), found
            self.answered.append((agency, actions, found))
            return
        raise TimeoutError("an action was never answered")

    def actions(self) -> list[Outcome]:
        """Return every answer so far."""
        return [o for _, _, found in list(self.answered) for o in found]


class Load:
    """What all writers together have sent and seen answered."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self.writers = writers

    def more(self, count: int = 30) -> None:
        """Wait until `count` more actions were answered."""
        before = len(self.answers())
        self.until(lambda: len(self.answers()) >= before + count)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds`, or a writer breaks."""
        assert until(lambda: self._broken() is not None or holds(), seconds=LIMIT), "in vain"
        broken = self._broken()
        if broken is not None:
            raise broken

    def _broken(self) -> BaseException | None:
        return next((w.broken for w in self.writers if w.broken is not None), None)

    def answers(self) -> list[Outcome]:
        return [o for w in self.writers for o in w.actions()]

    def refusals(self) -> list[Refusal]:
        return [r for w in self.writers for r in w.refusals]

    def stop(self) -> None:
        """Let each writer finish what it has sent."""
        for writer in self.writers:
            writer.over.set()
        for writer in self.writers:
            writer.join(LIMIT)
        broken = self._broken()
        if broken is not None:
            raise broken

    def repeat(self, hub: Part) -> None:
        """Send again, byte for byte, some of what was sent: the first answer comes again."""
        for writer in self.writers:
            for agency, client in writer.clients.items():
                sent = [one for one in writer.answered if one[0] == agency]
                for _, actions, first in sent[:5] + sent[-15:]:
                    again = outcomes(client.send(hub, actions))
                    assert [_said(o) for o in again] == [_said(o) for o in first]


def _said(outcome: Outcome) -> tuple[str, bool, int | None, str | None]:
    return outcome.event_id, outcome.accepted, outcome.recorded_ms, outcome.code


@contextmanager
def writing(apart: Apart, hubs: Sequence[Part], pairs: int = 2) -> Iterator[Load]:
    """Let pairs of agencies write to `hubs` for the time of the block, or until stopped."""
    writers = [Writer(apart, n, hubs) for n in range(pairs)]
    load = Load(writers)
    for writer in writers:
        writer.start()
    try:
        yield load
    finally:
        for writer in writers:
            writer.over.set()
        for writer in writers:
            writer.join(LIMIT)
            for client in writer.clients.values():
                client.close()
