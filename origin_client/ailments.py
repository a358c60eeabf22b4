"""Which topics do not work, and why, as an origin's ``health`` tells it."""

import threading


class Ailments:
    """The last failure of each topic that has not worked since; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_topic: dict[str, str] = {}

    def of(self, topic: str | None) -> str | None:
        """Return what is wrong with *topic*, or with any (``None``); ``None`` if nothing."""
        with self._lock:
            if topic is None:
                return next(iter(self._by_topic.values()), None)
            return self._by_topic.get(topic)

    def put(self, topic: str, cause: str) -> bool:
        """Note what is wrong with *topic* now; return whether no topic suffered from that."""
        with self._lock:
            is_news = cause not in self._by_topic.values()
            self._by_topic[topic] = cause
        return is_news

    def clear(self, topic: str) -> str | None:
        """Note that *topic* works; return what no topic suffers from any more, if it did."""
        with self._lock:
            cause = self._by_topic.pop(topic, None)
            return None if cause in self._by_topic.values() else cause
