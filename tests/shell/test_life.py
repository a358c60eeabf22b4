"""A process that leaves never comes back, and one that drains has left."""

from edge.shell.life import Life


def test_leaving_still_serves() -> None:
    life = Life()

    life.leave()

    assert (life.is_leaving, life.is_draining) == (True, False)


def test_draining_is_leaving() -> None:
    life = Life()

    life.drain()

    assert (life.is_leaving, life.is_draining) == (True, True)
