"""Which topics do not work, and why, as an origin's ``health`` tells it."""


class Ailments:
    """The last failure of each topic that has not worked since; any thread."""

    def __init__(self) -> None:
        self._by_topic: dict[str, str] = {}

    def put(self, topic: str, error: Exception) -> str:
        """Note that *topic* failed; return the words that name it."""
        self._by_topic[topic] = cause = f"{topic}: {error}"
        return cause

    def clear(self, topic: str) -> None:
        """Note that *topic* works."""
        self._by_topic.pop(topic, None)

    def of(self, topic: str | None) -> str | None:
        """Return what is wrong with *topic*, or with any (``None``); ``None`` if nothing."""
        if topic is None:
            return next(iter(self._by_topic.copy().values()), None)
        return self._by_topic.get(topic)
