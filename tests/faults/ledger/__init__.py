"""The ledger: a process that is never faulted, and knows what the gateway owes.

It holds the development issuer's key, keeps connections busy across kills, claims every event
before it sends it, writes an obligation only on an accepting verdict, and afterwards compares
its books with what lies at the origin. No event is stored: each is a function of (seed, voice,
number), so millions cost a byte each. It shares no code with the gateway.

::

    with ledger(room, seed=7) as book:
        with world(room, SETTINGS) as here:
            here.jwks.write_text(book.jwks)
            here.gateway.start()
            book.begin(here.gateway.public, Shape(services=12, players=4, batch=50))
            time.sleep(1)
            here.gateway.kill()
            here.gateway.start()  # it reconnects, sends again, and goes on
            account = book.rest()  # nothing new; account.accepted, .refused, .p99_ms, ...
            assert book.settle(here.gateway.public) == []
            assert drain(here.gateway) == []
            findings = book.audit(here.origin)  # or "kafka://127.0.0.1:9092"
            assert not [*account.complaints, *findings.faults]
"""

from tests.faults.ledger.audit import Allowed
from tests.faults.ledger.handle import Ledger, LedgerError, ledger
from tests.faults.ledger.shape import (
    CLIENT_LANES,
    FACT_LANES,
    SETTINGS,
    Account,
    Findings,
    Shape,
)

__all__ = [
    "CLIENT_LANES",
    "FACT_LANES",
    "SETTINGS",
    "Account",
    "Allowed",
    "Findings",
    "Ledger",
    "LedgerError",
    "Shape",
    "ledger",
]
