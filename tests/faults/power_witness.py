"""One player who says a little, and later says all of it again to whoever claims to know it."""

import json
import random
from pathlib import Path
from typing import Final

from edge.demo.audit import read_log
from edge.demo.gateway import Address
from edge.demo.issuer import Issuer
from edge.demo.ledger import Event
from edge.demo.payloads import Visit, deposit_requested, interactions
from tests.system.raw import Answer, Line
from tests.system.world import BATCH, TABLE

REPEATED_MAX: Final = 200
"""Events, of one request (design.md §4); all are of the last minute."""


class Witness:
    """A player's client beside the ledger, which believes no gateway on a copied disk.

    Attributes:
        told: What was accepted, in order.
    """

    def __init__(self, rng: random.Random) -> None:
        self.told: list[Event] = []
        self._issuer: Final = Issuer(kid="witness-1")
        self._visit: Final = Visit("witness", "north", "MT", rng)

    def keys_with(self, jwks: str) -> str:
        """Write a key set of its own keys and those of *jwks*."""
        sets = (json.loads(jwks), json.loads(self._issuer.jwks()))
        return json.dumps({"keys": [key for each in sets for key in each["keys"]]})

    def speak(self, address: Address) -> list[str]:
        """Say one event in each of three lanes; return what is wrong with the answer."""
        visit = self._visit
        events = [TABLE.spin(visit, 100), deposit_requested(visit, 500), interactions(visit)]
        answer = self._post(address, events)
        if answer.status != 202 or answer.counts != (3, 0):
            return [f"the witness's events: {answer.status} {answer.body!r}"]
        self.told += events
        return []

    def repeat(self, address: Address) -> list[str]:
        """Say again what was accepted; return what is not known any more."""
        told = self.told[-REPEATED_MAX:]
        answer = self._post(address, told)
        if answer.status != 202 or answer.counts != (0, len(told)):
            return [f"{len(told)} events, told again: {answer.status} {answer.body[:200]!r}"]
        return []

    def compare(self, origin: Path, strangers: int) -> list[str]:
        """Compare what was told with what lies in a log; return what must not be.

        Args:
            origin: The log's directory.
            strangers: Distinct records in it that are not the ledger's: all must be of this
                witness.
        """
        lines = [line.envelope for line in read_log(origin)]
        own = {str(each["id"]) for each in lines if each["subject"] == self._visit.subject}
        told = {str(event["id"]) for event in self.told}
        faults = [f"the witness's event {name}: lost" for name in told.difference(own)]
        faults += [f"the witness's event {name}: never said" for name in own - told]
        if strangers != len(own):
            faults.append(f"{strangers - len(own)} records of nobody's")
        return faults

    def _post(self, address: Address, events: list[Event]) -> Answer:
        token = self._issuer.player(self._visit)
        headers = {"authorization": f"Bearer {token}", "content-type": BATCH}
        with Line(address) as line:
            line.post(json.dumps(events).encode(), headers)
            return line.answer()
