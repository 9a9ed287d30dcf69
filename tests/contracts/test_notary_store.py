"""The contract of `NotaryStore`: one tree of each size, and nothing half written."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite.notary_store import SqliteNotaryStore
from domain.errors import Conflict
from domain.notary import Changes, Listed, NotaryStore, Posted, Sequenced, Sources
from domain.trail.delivered import Feed
from domain.trail.heads import Head
from domain.trail.merkle import EMPTY_ROOT, Range, leaf
from domain.trail.statement import Kind, Statement
from tests.agencies import sha
from tests.contracts.making import statement

Opens = Callable[[], NotaryStore]


@pytest.fixture(params=["sqlite"])
def opens(tmp_path: Path) -> Iterator[Opens]:
    """Return what opens the one store, as a process that starts anew does."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(SqliteNotaryStore(str(tmp_path / "notary.db"))))


@pytest.fixture
def store(opens: Opens) -> NotaryStore:
    return opens()


def tree(size: int, label: str = "", **sources: int) -> Sequenced:
    leaves = [leaf(f"{label}{i}".encode()) for i in range(size)]
    return Sequenced(Range().extend(leaves), Sources(**sources), 1_000 + size)


def head(name: str, count: int) -> dict[bytes, Head]:
    return {sha(name): Head(count, sha(f"{name} {count}"), count)}


def posted(label: str, seq: int = 0, by: str = "reader", kind: Kind = Kind.RECEIPT) -> Posted:
    said = Statement.decode(statement(label, by=by, seq=seq))._replace(kind=kind).encode()
    return Posted(statement=said, signature=2 * sha(label), body=label.encode())


def moved(store: NotaryStore, old: int, new: Sequenced, **changes: Any) -> None:
    store.advance(old, new, Changes(**changes))


def test_a_new_store_has_the_empty_tree(store: NotaryStore) -> None:
    assert store.newest() == Sequenced()
    assert store.newest().tree.root == EMPTY_ROOT
    assert list(store.heads()) == []


def test_a_tree_comes_back_whole_after_a_new_start(opens: Opens) -> None:
    new = tree(7, position=3, refusal=2, intake=1)
    moved(opens(), 0, new)
    assert opens().newest() == new


def test_a_tree_that_goes_on_from_another_than_the_newest_is_a_conflict(store: NotaryStore) -> None:
    moved(store, 0, tree(3))
    for old in (0, 2, 4):
        streamed = [(sha("stream"), 0, sha("statement"))]
        with pytest.raises(Conflict, match="TREE_MOVED"):
            moved(store, old, tree(9, "other"), heads=head("stream", 1), streamed=streamed)
    assert store.newest() == tree(3)
    assert list(store.heads()) == []
    assert store.streamed(sha("stream")) == []


def test_there_is_never_a_second_root_for_a_size(store: NotaryStore) -> None:
    moved(store, 0, tree(3))
    with pytest.raises(Conflict, match="TREE_MOVED"):
        moved(store, 3, tree(3, "other"))
    assert store.root_at(3) == tree(3).tree.root


def test_of_two_that_go_on_from_one_tree_one_does(opens: Opens) -> None:
    stores, done = [opens(), opens()], list[str]()

    def work(number: int) -> None:
        try:
            moved(stores[number], 0, tree(5, str(number)))
            done.append("moved")
        except Conflict:
            done.append("refused")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["moved", "refused"]


def test_the_roots_of_all_sizes_are_known_and_no_others(store: NotaryStore) -> None:
    moved(store, 0, tree(3))
    moved(store, 3, tree(8))
    assert store.root_at(3) == tree(3).tree.root
    assert store.root_at(8) == tree(8).tree.root
    assert store.root_at(5) is None
    assert list(store.sizes(0, 9)) == [3, 8]
    assert list(store.sizes(3, 8)) == [3]
    assert store.root_at(2**64 - 1) is None


def test_what_changed_is_replaced_and_the_rest_stays(opens: Opens) -> None:
    store, feed, other = opens(), Feed("gb-a", "health_care", 3), Feed("gb-b", "legal_aid", 0)
    ranges = {feed: tree(5).tree, other: tree(2).tree}
    seen = {sha("actor"): 3, sha("another"): 1}
    moved(store, 0, tree(3), heads=head("a", 1) | head("b", 1), feeds=ranges, seen=seen)
    moved(store, 3, tree(8), heads=head("a", 2), feeds={feed: tree(6).tree}, seen={sha("actor"): 8})
    again = opens()
    assert dict(again.heads()) == head("a", 2) | head("b", 1)
    assert again.feeds() == ranges | {feed: tree(6).tree}
    assert again.seen() == seen | {sha("actor"): 8}


def test_a_stream_lists_its_entries_in_the_order_of_the_log(store: NotaryStore) -> None:
    ours, other = sha("ours"), sha("other")
    first = [(ours, 0, sha("0")), (other, 1, sha("1")), (ours, 2, sha("2"))]
    moved(store, 0, tree(4), streamed=first)
    moved(store, 4, tree(8), streamed=[(ours, 4, sha("4")), (other, 6, sha("6"))])
    assert list(store.streamed(ours)) == [0, 2, 4]
    assert list(store.streamed(ours, after=1)) == [2, 4]
    assert list(store.streamed(ours, after=1, most=1)) == [2]
    assert list(store.streamed(ours, after=3)) == []
    assert list(store.streamed(sha("nobody"))) == []
    assert [store.place_of(ours, sha(n)) for n in ("0", "2", "4")] == [0, 2, 4]
    assert [store.place_of(s, sha("1")) for s in (ours, other)] == [None, 1]


def test_where_deliveries_stand_is_known_by_their_leaves(opens: Opens) -> None:
    first, second = Listed(sha("case"), "gb-a", 0), Listed(sha("other case"), "gb-b", 4)
    store = opens()
    moved(store, 0, tree(3), listed={sha("one"): first})
    moved(store, 3, tree(8), listed={sha("two"): second})
    asked = [sha("one"), sha("nowhere"), sha("two")]
    assert opens().listed(asked) == {sha("one"): first, sha("two"): second}
    assert opens().listed([]) == {}


def test_the_cases_of_the_log_are_known_by_their_streams(opens: Opens) -> None:
    store = opens()
    moved(store, 0, tree(3), cases={sha("a"), sha("b")})
    moved(store, 3, tree(8), cases={sha("b"), sha("c")})
    assert all(opens().has_case(sha(name)) for name in "abc")
    assert not opens().has_case(sha("d"))


def test_challenges_wait_until_the_tree_has_read_them(store: NotaryStore) -> None:
    for seq, kind in enumerate((Kind.AUDIT, Kind.RECEIPT, Kind.AUDIT)):
        store.take(posted(f"posted {seq}", seq, kind=kind))
    store.take(posted("another's", by="another reader", kind=Kind.AUDIT))
    reader = actor_of(posted(""))
    assert store.challenges(reader) == 2
    moved(store, 0, tree(3, intake=2))
    assert store.challenges(reader) == 1
    moved(store, 3, tree(8, intake=4))
    assert store.challenges(reader) == 0


def test_what_readers_post_is_numbered_in_order(opens: Opens) -> None:
    store = opens()
    assert [store.take(posted(f"receipt {n}", n)) for n in range(3)] == [1, 2, 3]
    found = opens().waiting(1, 10)
    assert found == [posted(f"receipt {n}", n)._replace(number=n + 1) for n in (1, 2)]
    assert store.waiting(0, 2) == [posted(f"receipt {n}", n)._replace(number=n + 1) for n in (0, 1)]


def test_what_is_posted_twice_is_kept_once(store: NotaryStore) -> None:
    assert store.take(posted("receipt")) == store.take(posted("receipt")) == 1
    assert len(store.waiting(0, 10)) == 1


def test_two_statements_of_one_number_are_not_both_kept(store: NotaryStore) -> None:
    store.take(posted("receipt"))
    with pytest.raises(Conflict, match="READER_SEQ"):
        store.take(posted("another"))
    assert store.take(posted("of another reader", by="another reader")) == 2


def test_what_was_not_admitted_leaves_its_number_to_the_reader(store: NotaryStore) -> None:
    for seq in range(2):
        store.take(posted(f"receipt {seq}", seq))
    moved(store, 0, tree(3), dropped=[2])
    assert store.posted(actor_of(posted(""))) == posted("receipt 0")._replace(number=1)
    taken = [store.has_taken(posted(f"receipt {seq}", seq).statement) for seq in (0, 1)]
    assert taken == [True, False]
    assert store.take(posted("another", 1)) == 3, "a number of the intake is used once"


def test_the_newest_of_a_reader_is_known(store: NotaryStore) -> None:
    assert store.posted(actor_of(posted("receipt"))) is None
    store.take(posted("receipt", 0))
    store.take(posted("challenge", 1))
    found = store.posted(actor_of(posted("receipt")))
    assert found == posted("challenge", 1)._replace(number=2)


def actor_of(one: Posted) -> bytes:
    return one.statement[68:100]
