"""Only who has read the source knows what is not there."""

from edge.shell.keys.refetched import UNTOLD, Refetched


def test_that_a_key_does_not_exist_is_known_from_a_source_that_was_read_just_now() -> None:
    assert set(Refetched) - UNTOLD == {Refetched.CHANGED, Refetched.SAME}
