"""``origin_client.ailments``: the last failure of each topic, until it works."""

from origin_client.ailments import Ailments


def test_each_topic_has_its_last_failure_and_any_of_them_is_told_for_all() -> None:
    ailments = Ailments()
    assert ailments.of(None) is None

    ailments.put("a", OSError("full"))
    assert ailments.put("a", OSError("gone")) == "a: gone"

    assert (ailments.of("a"), ailments.of("b"), ailments.of(None)) == (
        "a: gone",
        None,
        "a: gone",
    )


def test_a_topic_that_works_ails_no_more() -> None:
    ailments = Ailments()
    ailments.put("a", OSError("full"))
    ailments.put("b", OSError("gone"))
    for _ in range(2):
        ailments.clear("a")

    assert (ailments.of("a"), ailments.of(None)) == (None, "b: gone")
