"""The crowd as a process of its own: prepares requests, sends them, tells what came of them.

In: one JSON object per line on standard input, an order; out: one per line on standard output,
its result. Its first line is the issuer's key set. Anything but an acceptance or a proper refusal
ends it, with the answer in its last line.
"""

import gc
import json
import re
import sys
from collections.abc import Mapping
from typing import IO, Any, Final

from loadtests.bench.client import WrongAnswerError
from loadtests.bench.scenario import LOADS, Casino
from loadtests.bench.tokens import Issuer
from loadtests.overload.crowd import Course, Crowd

Order = Mapping[str, Any]

_IDS: Final = re.compile(rb'"id":"([^"]+)"')
"""The attribute: no member of the payloads the scenario writes has that name."""


class Post:
    """What the generator's process does: each order is a method.

    Attributes:
        jwks: The key set of its tokens' issuer.
        stock: Requests that were not accepted yet; the next is the last.
    """

    def __init__(self, players: int) -> None:
        issuer = Issuer()
        self.jwks = issuer.jwks()
        self._casino = Casino(issuer, players)
        self._loads = {load.name: load for load in LOADS}
        self.stock: list[bytes] = []
        self._events = 0
        self._crowd: Crowd | None = None
        self._accepted: list[str] = []

    def obey(self, order: Order) -> dict[str, Any]:
        """Do what *order* names.

        Raises:
            WrongAnswerError: An answer is neither an acceptance nor a refusal.
            OSError: Nobody takes the connections, or the list of accepted events.
        """
        match order["order"]:
            case "prepare":
                return self._prepare(order)
            case "connect":
                self._crowd = Crowd((order["host"], order["port"]), order["connections"])
                return {}
            case "closed":
                assert self._crowd is not None
                return _told(self._crowd.closed(self.stock, self._events, order["seconds"]))
            case "open":
                assert self._crowd is not None
                share = order["per_s"], order["seconds"], order["seed"]
                return _told(self._crowd.open(self.stock, self._events, *share))
            case "accepted":
                return self._list(order)
            case _:
                self.hang_up()
                return {}

    def hang_up(self) -> None:
        """Leave no connection open; remember what was accepted on them."""
        if self._crowd is not None:
            for request in self._crowd.accepted:
                self._accepted += [name.decode() for name in _IDS.findall(request)]
            self._crowd.close()
            self._crowd = None

    def _prepare(self, order: Order) -> dict[str, Any]:
        """Write requests until there are so many that were not accepted yet."""
        gc.unfreeze()
        load = self._loads[order["load"]]
        if self._events != load.events:
            self.stock = []
        self._events = load.events
        missing = order["count"] - len(self.stock)
        self.stock[:0] = reversed(self._casino.requests(load, max(missing, 0)))
        gc.collect()
        gc.freeze()
        return {}

    def _list(self, order: Order) -> dict[str, Any]:
        """Write the ids of all accepted events into a file, one per line."""
        with open(order["path"], "w") as file:  # noqa: PTH123  # a stream of millions
            file.writelines(f"{name}\n" for name in self._accepted)
        return {"events": len(self._accepted)}


def main(players: int, orders: IO[str], results: IO[str]) -> int:
    """Obey until there are no more *orders*."""
    gc.disable()
    post = Post(players)
    _say(results, {"jwks": post.jwks})
    try:
        for line in orders:
            _say(results, post.obey(json.loads(line)))
    except (WrongAnswerError, OSError) as wrong:
        _say(results, {"wrong": str(wrong)})
        return 1
    finally:
        post.hang_up()
    return 0


def _told(course: Course) -> dict[str, Any]:
    fates = [[fate.began_ns, fate.took_ns, fate.is_accepted] for fate in course.fates]
    return {"elapsed_ns": course.elapsed_ns, "due": course.due, "fates": fates}


def _say(results: IO[str], words: Mapping[str, Any]) -> None:
    results.write(json.dumps(words) + "\n")
    results.flush()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.stdin, sys.stdout))
