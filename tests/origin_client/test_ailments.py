"""``origin_client.ailments``: the last failure of each topic, until it works."""

from origin_client.ailments import Ailments


def test_each_topic_has_its_last_failure_and_any_of_them_is_told_for_all() -> None:
    ailments = Ailments()
    assert ailments.of(None) is None

    ailments.put("a", "full")
    ailments.put("a", "gone")

    assert (ailments.of("a"), ailments.of("b"), ailments.of(None)) == ("gone", None, "gone")


def test_a_topic_that_works_ails_no_more() -> None:
    ailments = Ailments()
    ailments.put("a", "full")
    ailments.put("b", "gone")
    for _ in range(2):
        ailments.clear("a")

    assert (ailments.of("a"), ailments.of(None)) == (None, "gone")


def test_what_several_topics_suffer_from_is_news_once_and_over_once() -> None:
    ailments = Ailments()

    assert [ailments.put(topic, "gone") for topic in ("a", "b", "a")] == [True, False, False]
    assert [ailments.clear(topic) for topic in ("a", "b", "b")] == [None, "gone", None]
