"""``origin_client.http``: batches against a real receiver in all its moods."""

import contextlib
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from origin_client.http import HttpOrigin, open_http
from origin_client.origin import OriginError, OriginUnavailable, Outgoing, Refusal, Surveyable
from tests.fakes_http_origin import (
    TAKE,
    Mood,
    Receiver,
    Reply,
    Request,
    always,
    receiver,
    refusing,
    reset,
    take,
    then_take,
)
from tests.fakes_keys import drip_head, hang, raw
from tests.kafka.certificates import issue

TOPIC = "edge.bet.v1"
OTHER = "edge.game.v1"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ELSEWHERE = {"Location": "/in/elsewhere"}


def outgoing(number: int) -> Outgoing:
    return Outgoing(b"player-0001", b'{"specversion":"1.0","edgeseq":"%d"}' % number)


def numbered(count: int) -> list[Outgoing]:
    return [outgoing(number) for number in range(count)]


def values(records: list[Outgoing]) -> list[bytes]:
    return [record.value for record in records]


class Publisher:
    """A thread in the middle of a publish."""

    def __init__(self, origin: HttpOrigin, topic: str = TOPIC) -> None:
        self._outcome: str | list[Refusal] = "nothing"
        self._thread = threading.Thread(target=self._publish, args=(origin, topic), daemon=True)
        self._thread.start()

    def outcome(self) -> str | list[Refusal]:
        """What came of it, or why it was unavailable; waits for that."""
        self._thread.join()
        return self._outcome

    def _publish(self, origin: HttpOrigin, topic: str) -> None:
        try:
            self._outcome = origin.publish(topic, numbered(3))
        except OriginUnavailable as error:
            self._outcome = str(error)


@contextlib.contextmanager
def origin_at(there: Receiver, **options: str | float) -> Generator[HttpOrigin]:
    origin = open_http(there.url, options)
    try:
        yield origin
    finally:
        origin.close()


def test_a_batch_arrives_byte_for_byte_in_order_at_its_topic() -> None:
    with receiver() as there, origin_at(there) as origin:
        assert origin.publish(TOPIC, numbered(50)) == []
        assert origin.publish(OTHER, [outgoing(50)]) == []

    assert there.events == {TOPIC: values(numbered(50)), OTHER: [outgoing(50).value]}
    assert [len(each.events) for each in there.requests] == [50, 1]


def test_one_connection_serves_a_topic_for_ever() -> None:
    with receiver() as there, origin_at(there) as origin:
        for number in range(20):
            origin.publish(TOPIC, [outgoing(number)])

    assert there.connections == 1


def test_a_connection_that_the_receiver_closed_is_made_anew() -> None:
    close = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with receiver(then_take(close)) as there, origin_at(there) as origin:
        origin.publish(TOPIC, [outgoing(1)])
        there.stop()
        there.start()

        origin.publish(TOPIC, [outgoing(2)])

    assert there.events[TOPIC] == [outgoing(2).value]


def test_among_50_exactly_the_bad_one_is_refused_and_the_others_are_there_once() -> None:
    records = numbered(50)
    with receiver(refusing([records[31].value])) as there, origin_at(there) as origin:
        refusals = origin.publish(TOPIC, records)

    assert refusals == [Refusal(31, refusals[0].reason, is_final=True)]
    assert "422" in refusals[0].reason
    assert there.events[TOPIC] == values(records[:31] + records[32:])


def test_what_is_too_large_for_the_receiver_is_refused_alone() -> None:
    large = Outgoing(b"player-0001", b'{"x":"%s"}' % (b"x" * 300_000))
    small = numbered(20)

    def limited(request: Request) -> Reply:
        is_large = int(request.headers["content-length"]) > 100_000
        return Reply(413, b"too large") if is_large else TAKE

    with receiver(limited) as there, origin_at(there) as origin:
        refusals = origin.publish(TOPIC, [*small[:10], large, *small[10:]])

    assert [each.index for each in refusals] == [10]
    assert "too large" in refusals[0].reason
    assert there.events[TOPIC] == values(small)


def test_no_body_is_larger_than_allowed() -> None:
    with receiver() as there, origin_at(there, batch_bytes_max=1024) as origin:
        origin.publish(TOPIC, numbered(100))

    assert there.events[TOPIC] == values(numbered(100))
    assert all(int(each.headers["content-length"]) <= 1024 for each in there.requests)


@pytest.mark.parametrize(
    ("mood", "cause"),
    [
        pytest.param(reset, "broke .Connection reset by peer", id="reset"),
        pytest.param(raw(b""), "broke .it hung up", id="closed"),
        pytest.param(raw(b"HTTP/1.1 2"), "broke", id="half a status"),
        pytest.param(raw(b"\x00\xff\r\n\r\n"), "broke", id="not HTTP"),
        pytest.param(raw(OK + b"Content-Length: 100\r\n\r\nhalf"), "broke", id="half a body"),
        pytest.param(raw(OK + CHUNKED + b"\r\nzz\r\n"), "broke", id="broken chunks"),
        pytest.param(raw(OK + CHUNKED + b"\r\n-5\r\n"), "broke .its ans", id="chunk of -5"),
        pytest.param(raw(OK), "broke .it hung up", id="half a head"),
        pytest.param(raw(OK + b"Server: prox"), "broke .it hung up", id="half a line"),
        pytest.param(raw(OK + b"Content-Length: -5\r\n\r\n"), "broke .the le", id="length -5"),
        pytest.param(Reply(500, b"x" * 5000), "500 Int.*: it fails", id="500 at length"),
        pytest.param(hang, "does not answer in time", id="hanging"),
        pytest.param(drip_head(pause_s=0.05), "does not answer in time", id="dripping"),
        pytest.param(Reply(503), "503 Service Unavailable: it fails", id="503"),
        pytest.param(Reply(408), "408 Request Timeout", id="408"),
        pytest.param(Reply(301, headers=ELSEWHERE), "301 .*: it redirects", id="301"),
        pytest.param(Reply(307, headers=ELSEWHERE), "307 .*: it redirects", id="307"),
        pytest.param(Reply(401), "401 .*bearer_file", id="401"),
        pytest.param(Reply(404), "404 .*make the topic", id="404"),
    ],
)
def test_without_a_verdict_all_is_sent_again_and_the_cause_is_told_until_it_works(
    mood: Reply | Mood, cause: str
) -> None:
    with receiver(then_take(mood)) as there, origin_at(there, timeout_s=0.5) as origin:
        with pytest.raises(OriginUnavailable, match=f"^{TOPIC}: .*{cause}") as unavailable:
            origin.publish(TOPIC, numbered(3))
        told = [origin.health(), origin.health(TOPIC), origin.health(OTHER)]
        assert origin.publish(TOPIC, numbered(3)) == []

        assert told == [str(unavailable.value), str(unavailable.value), None]
        assert origin.health() is None
        assert origin.health(TOPIC) is None
    assert there.events == {TOPIC: values(numbered(3))}


def test_a_receiver_that_is_down_is_named_and_found_again() -> None:
    with receiver() as there, origin_at(there) as origin:
        there.stop()
        with pytest.raises(OriginUnavailable, match=r"cannot be reached .Connection refused"):
            origin.publish(TOPIC, numbered(3))
        there.start()

        assert origin.publish(TOPIC, numbered(3)) == []


def test_a_name_that_nobody_knows_is_named() -> None:
    origin = open_http("https://no-such-host.invalid", {})

    with pytest.raises(OriginUnavailable, match="cannot be reached"):
        origin.publish(TOPIC, numbered(1))
    origin.close()


def test_an_outage_in_the_middle_counts_for_the_whole_batch() -> None:
    records = numbered(4)
    bad = Reply(400)
    with receiver(then_take(bad, TAKE, Reply(500))) as there, origin_at(there) as origin:
        with pytest.raises(OriginUnavailable):
            origin.publish(TOPIC, records)
        assert there.events[TOPIC] == values(records[:2])
        assert origin.publish(TOPIC, records) == []

    assert there.events[TOPIC] == values(records[:2] + records)


def test_a_topic_that_hangs_holds_up_no_other() -> None:
    def hang_for_one(request: Request) -> Reply | Mood:
        return hang if request.topic == TOPIC else TAKE

    with receiver(hang_for_one) as there, origin_at(there) as origin:
        stuck = Publisher(origin)
        there.reached.wait()

        assert origin.publish(OTHER, numbered(3)) == []
        assert origin.health() is None
        origin.close()
        assert stuck.outcome() == f"{TOPIC}: closed"
    assert there.events == {OTHER: values(numbered(3))}


@pytest.mark.parametrize("mood", [hang, drip_head(pause_s=0.01)], ids=["silent", "dripping"])
def test_closing_ends_a_publish_that_would_take_ten_minutes(mood: Mood) -> None:
    with receiver(always(mood)) as there, origin_at(there, timeout_s=600) as origin:
        stuck = Publisher(origin)
        there.reached.wait()
        there.reached.clear()
        behind = Publisher(origin)
        assert not there.reached.wait(0.3), "one request at a time"

        origin.close()
        origin.close()

        assert stuck.outcome() == behind.outcome() == f"{TOPIC}: closed"
        assert origin.health() == "closed"
        with pytest.raises(OriginUnavailable, match="closed"):
            origin.publish(TOPIC, numbered(1))
    assert len(there.requests) == 1


def test_a_receiver_is_left_alone_for_as_long_as_it_asks_and_closing_ends_that_too() -> None:
    busy = Reply(429, headers={"Retry-After": "60"})
    with receiver(always(busy)) as there, origin_at(there) as origin:
        with pytest.raises(OriginUnavailable, match="429"):
            origin.publish(TOPIC, numbered(1))
        there.reached.clear()
        waiting = Publisher(origin)

        assert not there.reached.wait(0.3)
        origin.close()

        assert waiting.outcome() == f"{TOPIC}: closed"
    assert len(there.requests) == 1


def test_after_the_time_it_asked_for_a_receiver_is_tried_again() -> None:
    busy = Reply(503, headers={"Retry-After": "1"})
    with receiver(then_take(busy)) as there, origin_at(there) as origin:
        with pytest.raises(OriginUnavailable, match="503"):
            origin.publish(TOPIC, numbered(1))

        assert origin.publish(TOPIC, numbered(1)) == []


def test_the_token_is_the_one_the_file_holds_at_that_moment(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first.token\n")
    with receiver() as there, origin_at(there, bearer_file=str(token)) as origin:
        origin.publish(TOPIC, numbered(1))
        token.write_text("second-token==")
        origin.publish(TOPIC, numbered(1))

    told = [each.headers["authorization"] for each in there.requests]
    assert told == ["Bearer first.token", "Bearer second-token=="]


def test_without_a_token_nothing_is_said_of_authorisation() -> None:
    with receiver() as there, origin_at(there) as origin:
        origin.publish(TOPIC, numbered(1))

    assert "authorization" not in there.requests[0].headers


@pytest.mark.parametrize("text", ["", "two words", "a\nb", "sécret", "x" * 8193, "a\x00"])
def test_a_file_that_holds_no_token_is_an_outage_and_is_not_repeated(
    tmp_path: Path, text: str
) -> None:
    token = tmp_path / "token"
    token.write_text(text)
    with receiver() as there, origin_at(there, bearer_file=str(token)) as origin:
        with pytest.raises(OriginUnavailable, match="does not hold one bearer token") as told:
            origin.publish(TOPIC, numbered(1))
        token.unlink()
        with pytest.raises(OriginUnavailable, match="cannot be read"):
            origin.publish(TOPIC, numbered(1))

    assert not text or text not in str(told.value)
    assert there.requests == []


def test_a_token_that_the_receiver_repeats_goes_into_no_reason(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hush.hush")

    def repeat(request: Request) -> Reply:
        return Reply(400, f"you sent {request.headers['authorization']}".encode())

    with receiver(repeat) as there, origin_at(there, bearer_file=str(token)) as origin:
        [refusal] = origin.publish(TOPIC, numbered(1))

    assert refusal.reason == "the receiver answers 400 Bad Request: you sent Bearer <secret>"


def test_a_receiver_under_tls_is_believed_with_the_right_authority_only(tmp_path: Path) -> None:
    certificates, ca = issue("ours"), tmp_path / "ca.pem"
    ca.write_text(issue("another").authority)
    with (
        receiver(certificates=certificates) as there,
        origin_at(there, ca_file=str(ca)) as origin,
    ):
        for _ in range(2):
            with pytest.raises(
                OriginUnavailable, match=r"certificate is not trusted .*ca_file"
            ):
                origin.publish(TOPIC, numbered(3))
        ca.write_text(certificates.authority)

        assert origin.publish(TOPIC, numbered(3)) == []

    assert there.events == {TOPIC: values(numbered(3))}


def test_the_system_trusts_no_authority_made_for_a_test() -> None:
    with (
        receiver(certificates=issue("ours")) as there,
        origin_at(there) as origin,
        pytest.raises(OriginUnavailable, match="certificate is not trusted"),
    ):
        origin.publish(TOPIC, numbered(3))


def test_a_survey_names_each_topic_that_would_not_work_and_sends_no_event() -> None:
    def know_one(request: Request) -> Reply:
        return Reply(400 if request.topic == TOPIC else 404)

    with receiver(know_one) as there, origin_at(there) as origin:
        assert isinstance(origin, Surveyable)
        lacks = origin.survey([TOPIC, OTHER], 10)

        assert [each.partition(" 404 ")[0] for each in lacks] == [
            f"{OTHER}: the receiver answers"
        ]
        there.script = take
        assert origin.survey([TOPIC, OTHER], 10) == []
        assert origin.health() is None
    assert not any(each.events for each in there.requests)


def test_a_survey_of_a_receiver_that_does_not_answer_finds_nothing_out() -> None:
    with receiver(always(hang)) as there, origin_at(there) as origin:
        with pytest.raises(OriginUnavailable, match="does not answer in time"):
            origin.survey([TOPIC, OTHER], 0.2)
        there.stop()
        with pytest.raises(OriginUnavailable, match="cannot be reached"):
            origin.survey([TOPIC, OTHER], 10)
        there.start()


def test_what_is_wrong_is_told_when_it_is_opened(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")

    for option in ("ca_file", "bearer_file"):
        with pytest.raises(OriginError, match=f"{option}.*absent"):
            open_http("https://origin.example", {option: absent})
    with pytest.raises(OriginError, match="use https"):
        open_http("http://origin.example", {})
    with pytest.raises(OriginError, match="unknown option 'token'"):
        open_http("https://origin.example", {"token": "secret"})
