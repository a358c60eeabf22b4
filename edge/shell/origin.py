"""Opens the origin that the settings describe; a mistake in them is told with its path.

In go the settings; out comes an origin, or what to change. Whether its brokers or receivers are
up is not asked: the house starts without them.
"""

import logging
from typing import Final

from edge.config import ConfigError, OriginSettings
from origin_client import open as kinds
from origin_client.open import Reader
from origin_client.origin import Origin, OriginError

log: Final = logging.getLogger("edge.origin")


def open_origin(settings: OriginSettings) -> Origin:
    """Open the origin to publish to.

    Raises:
        ConfigError: The URL or an option describes none; which one, the path tells.
    """
    try:
        return kinds.open_origin(settings.url, settings.options)
    except OriginError as error:
        path = f"origin.options.{error.option}" if error.option else "origin.url"
        raise ConfigError(path, str(error)) from error


def open_push_reader(settings: OriginSettings) -> Reader | None:
    """Open the origin to read pushes from; ``None`` when it cannot be read, which is told.

    Args:
        settings: Of an origin that could be opened to publish to.
    """
    try:
        return kinds.open_reader(settings.url, settings.options)
    except OriginError as error:
        log.info("sockets get no pushes", extra={"cause": str(error)})
        return None
