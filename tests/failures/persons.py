"""Cases of persons who consent, withdraw and consent again, and what may be shown of them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import uuid4

from domain.action import Action
from domain.gateway import Command
from domain.messages import FeedItem
from domain.trail import statement
from domain.trail.statement import Statement, stream_tag
from services.bootstrap import now_ms
from tests.bench.cases import PERSON, Sent, WrittenCase, consent


class Person(WrittenCase):
    """One case, told step by step; what is sealed after a withdrawal is sealed anew."""

    consents = False
    """Whether what was recorded so far permits the provider anything."""

    def told(self) -> Iterator[list[Sent]]:
        """Yield what happens, without end."""
        yield from self.steps()
        while True:
            yield self.identified()
            yield self.withdraws()
            yield self.identified()
            yield self.consents_again()

    def identified(self) -> list[Sent]:
        return self._act(self.opener, "PersonIdentityRecorded", **PERSON)

    def withdraws(self) -> list[Sent]:
        said = {"consent_id": None, "given_by": "self", "words": "no more"}
        return self._act(self.opener, "ConsentWithdrawn", **said)

    def consents_again(self, *categories: str) -> list[Sent]:
        """Let the provider see what a referral needs, or just `categories`."""
        given = consent(str(uuid4()), self._provider, now_ms())
        given |= {"categories": list(categories)} if categories else {}
        return self._act(self.opener, "ConsentGiven", **given)

    def recorded(self, sent: Iterable[Sent]) -> None:
        """Take in what the hub has recorded."""
        for _, action in sent:
            if action.type.endswith((".ConsentGiven", ".ConsentWithdrawn")):
                self.consents = action.type.endswith("Given")

    def _act(self, agency: str, name: str, **fields: Any) -> list[Sent]:
        sealer = self._town.sealer(agency)
        command = Command(command_id=str(uuid4()), type=name, case_id=self.id, fields=fields)
        made = sealer.make("", sealer.checked(command), self._keys[agency], self._after, fresh=True)
        actions: Sequence[Action] = [outgoing.action for outgoing in made.outgoing]
        self._after = statement.digest(actions[-1].statement)
        return [(agency, action) for action in actions]


def shown_against_their_will(items: Iterable[FeedItem], persons: Iterable[Person]) -> list[str]:
    """Return the types of the items that show anything of somebody who does not consent."""
    silent = {stream_tag(person.id) for person in persons if not person.consents}
    return [
        item.event.type
        for item in items
        if item.categories and Statement.decode(item.event.statement).stream in silent
    ]
