"""The generator's process keeps a stock of requests, and lists what was accepted of it."""

import io
import json
from pathlib import Path

from loadtests.overload.generator import Post, main
from tests.fakes_bench import GOOD, answer, server


def test_what_was_accepted_is_listed_and_what_was_not_stays_in_stock(tmp_path: Path) -> None:
    post = Post(players=3)
    post.obey({"order": "prepare", "load": "single", "count": 5_000})
    with server() as (host, port):
        post.obey({"order": "connect", "host": host, "port": port, "connections": 2})
        closed = post.obey({"order": "closed", "seconds": 0.05})
        timed = {"order": "open", "per_s": 100, "seconds": 0.1, "seed": 1}
        opened = post.obey(timed)
        post.obey({"order": "hang up"})

    listed = post.obey({"order": "accepted", "path": str(tmp_path / "ids")})
    post.obey({"order": "prepare", "load": "single", "count": 5_000})

    names = (tmp_path / "ids").read_text().split()
    assert listed["events"] == len(set(names)) == len(closed["fates"]) + len(opened["fates"])
    assert len(post.stock) == 5_000


def test_another_load_has_a_stock_of_its_own() -> None:
    post = Post(players=100)
    post.obey({"order": "prepare", "load": "single", "count": 3})
    post.obey({"order": "prepare", "load": "batch", "count": 2})

    assert [request.count(b'"id":') for request in post.stock] == [50, 50]


def test_it_speaks_in_lines_and_ends_with_its_input() -> None:
    results = io.StringIO()

    assert main(2, io.StringIO('{"order":"prepare","load":"single","count":1}\n'), results) == 0

    jwks, done = map(json.loads, results.getvalue().splitlines())
    assert json.loads(jwks["jwks"])["keys"]
    assert done == {}


def test_a_wrong_answer_is_its_last_word() -> None:
    results = io.StringIO()
    with server(lambda _: [answer(GOOD, b"500 Oh")]) as (host, port):
        orders = [
            {"order": "prepare", "load": "single", "count": 9},
            {"order": "connect", "host": host, "port": port, "connections": 1},
            {"order": "closed", "seconds": 1},
        ]
        lines = io.StringIO("".join(json.dumps(order) + "\n" for order in orders))
        assert main(2, lines, results) == 1

    assert json.loads(results.getvalue().splitlines()[-1])["wrong"].startswith("500")
