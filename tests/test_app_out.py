"""What leads out of a spool is wired whole, or leaves nothing behind."""

import shutil
import threading
from pathlib import Path

import msgspec
import pytest
from typing_extensions import override

from edge.app_out import drain_spool
from edge.config import OriginSettings
from edge.shell.clock import SystemClock
from edge.shell.spool.process import Spool
from tests.shell.spool.test_inspect import GOLDEN
from tests.test_app import settings


class FailingEvent(threading.Event):
    """Cannot be waited for."""

    @override
    def wait(self, timeout: float | None = None) -> bool:
        raise ZeroDivisionError


def test_a_drain_that_fails_leaves_no_forwarder_behind_and_the_spool_to_others(
    tmp_path: Path,
) -> None:
    shutil.copytree(GOLDEN / "spool", tmp_path / "spool")
    origin = OriginSettings(url="kafka://127.0.0.1:1")
    config = msgspec.structs.replace(settings(tmp_path), origin=origin)

    with pytest.raises(ZeroDivisionError):
        drain_spool(config, FailingEvent(), None)

    names = {thread.name.partition("-")[0] for thread in threading.enumerate()}
    assert names.isdisjoint({"forward", "courier", "kafka"})
    Spool.open(config.spool, clock=SystemClock()).close()
