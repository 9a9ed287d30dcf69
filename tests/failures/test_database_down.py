"""The database ends in the middle of the load: every process waits for it and goes on alone."""

import time
from pathlib import Path

from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from services.local.postgres import Postgres
from services.local.processes import until
from tests.failures import checks
from tests.failures.apart import ANSWER, LIMIT, Apart, Part, apart
from tests.failures.writing import Client, Load, register, writing

OUTAGES = 2


def test_while_the_database_is_away_hubs_say_so_and_afterwards_all_goes_on_by_itself(
    own_postgres: Postgres,
    own_database: str,
    brokers: Brokers | GivenBrokers,
    hub_id: str,
    tmp_path: Path,
) -> None:
    with apart(tmp_path, hub_id, own_database, brokers) as one:
        *hubs, quiet = one.started("hub", "hub", "hub")
        register(one, hubs[0])
        one.topics()
        workers = one.started("relay", "projector", "feed-relay")
        with writing(one, hubs) as load:
            for _ in range(OUTAGES):
                load.more()
                own_postgres.kill()
                try:
                    _all_say_that_it_is_away(one, [*hubs, *workers])
                    _no_agency_waits_for_long(one, hubs)
                    _who_knows_no_agency_yet_blames_no_action(load, quiet)
                    _nothing_is_published(one)
                finally:
                    own_postgres.start()
                load.more()
            load.stop()
            assert all(part.lives for part in (*hubs, quiet, *workers))
            _refused_with_code_and_hint(load)
            load.repeat(hubs[0])
            load.repeat(hubs[1])
            checks.log_is_what_was_answered(one, load)
        checks.kafka_has_the_log(one)
        assert checks.feeds_are_what_the_log_gives(one)
        checks.topics_have_the_feeds(one)
        for part in (*hubs, *workers):
            assert until(checks.works(part), seconds=LIMIT), part.said()


def _all_say_that_it_is_away(one: Apart, parts: list[Part]) -> None:
    for part in parts:
        away = checks.waits_for(part, "store", "STORE_UNAVAILABLE")
        assert until(away, seconds=LIMIT), part.said()
        assert part.get("/health").status_code == 200


def _no_agency_waits_for_long(one: Apart, hubs: list[Part]) -> None:
    reader = Client(one, one.town.providers[0])
    for hub in hubs:
        for path in ("/v1/feeds/protection_support", "/v1/registry"):
            began = time.monotonic()
            answer = reader.get(hub, path)
            assert time.monotonic() - began < ANSWER
            assert (answer.status_code, answer.json()["code"]) == (503, "STORE_UNAVAILABLE")
    reader.close()


def _who_knows_no_agency_yet_blames_no_action(load: Load, quiet: Part) -> None:
    """A hub that has read no registry cannot say of an action that nobody made it."""
    agency, actions, _ = load.writers[0].answered[0]
    answer = load.writers[0].clients[agency].send(quiet, actions)
    assert (answer.status_code, answer.json()["code"]) == (503, "STORE_UNAVAILABLE")


def _nothing_is_published(one: Apart) -> None:
    before = checks.published(one)
    time.sleep(0.5)
    assert checks.published(one) == before


def _refused_with_code_and_hint(load: Load) -> None:
    refusals = load.refusals()
    assert refusals
    assert max(r.seconds for r in refusals) < ANSWER
    for refusal in refusals:
        assert refusal.answer.status_code == 503
        assert refusal.answer.headers["content-type"] == "application/problem+json"
        said = refusal.answer.json()
        assert said["code"] == "STORE_UNAVAILABLE"
        assert "retry" in said["detail"]
        assert int(refusal.answer.headers["retry-after"]) >= 1
