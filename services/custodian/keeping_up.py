"""The custodian follows the hub's log over HTTP, whether the hub is there or not."""

import asyncio
import logging
from collections.abc import Callable

from domain.errors import HubError, Unavailable
from domain.ports import HubLink
from services.custodian.custodian import Custodian
from services.polling import LONG_POLL, polled
from services.signals import Signals

FIRST_BACKOFF, LAST_BACKOFF = 0.05, 5.0
log = logging.getLogger(__name__)


async def keep_up(
    custodian: Custodian, hub: HubLink, signals: Signals, withdrawn: Callable[[int], None]
) -> None:
    """Take in what the log has new and wake whose releases changed, until `signals` are closed.

    `withdrawn` is told when a withdrawal was recorded, in ms, once its releases are gone.
    """

    async def follow() -> bool:
        before = custodian.position
        page = await hub.custody(before, LONG_POLL)
        signals.notify(custodian.follow(page))
        for item in page.items:
            if item.event.type.endswith(".ConsentWithdrawn"):
                withdrawn(item.event.recorded_ms)
        return custodian.position > before

    backoff = FIRST_BACKOFF
    while not signals.closed:
        try:
            await polled(follow)
        except HubError as e:
            if not isinstance(e, Unavailable):
                log.warning("the custodian stopped following: %s", e.code)
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, LAST_BACKOFF)
            continue
        backoff = FIRST_BACKOFF
