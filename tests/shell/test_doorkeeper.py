"""Connections are counted in and out; one too many is told why and when to come back."""

from collections import Counter

import httptools
import msgspec

from edge.shell.doorkeeper import RETRY_AFTER_S, Doorkeeper, farewell


def test_no_more_come_in_than_there_is_room_for() -> None:
    refused = Counter[str]()
    doorkeeper = Doorkeeper(lambda connections: connections >= 2, refused)

    assert [doorkeeper.let_in() for _ in range(4)] == [True, True, False, False]
    assert doorkeeper.connections == 2
    assert refused == {"too_many_connections": 2}


def test_one_that_leaves_makes_room_for_another() -> None:
    doorkeeper = Doorkeeper(lambda connections: connections >= 1, Counter())
    assert doorkeeper.let_in()

    doorkeeper.let_out()

    assert doorkeeper.let_in()


class Heard:
    """What an HTTP client makes of bytes; the method names are httptools'."""

    def __init__(self, answer: bytes) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.is_complete = False
        self.parser = httptools.HttpResponseParser(self)
        self.parser.feed_data(answer)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep it."""
        self.headers[name] = value

    def on_body(self, part: bytes) -> None:
        """Keep it."""
        self.body += part

    def on_message_complete(self) -> None:
        """Note that there is nothing more to come."""
        self.is_complete = True


def test_the_farewell_is_a_whole_answer_and_the_last() -> None:
    heard = Heard(farewell())

    assert (heard.parser.get_status_code(), heard.is_complete) == (503, True)
    assert not heard.parser.should_keep_alive()
    assert heard.headers[b"content-type"] == b"application/problem+json"
    assert heard.headers[b"retry-after"] == b"%d" % RETRY_AFTER_S
    problem = msgspec.json.decode(heard.body)
    assert (problem["code"], problem["status"]) == ("too_many_connections", 503)
    assert problem["type"] == "urn:edge:problem:too_many_connections"
    assert "instance" not in problem
