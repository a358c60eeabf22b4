"""A notice's promise: these bytes, valid as CloudEvents, for ever."""

from pathlib import Path
from typing import Final

import pytest

from origin_client.notice import QUARANTINED_TYPE, Notice, Quarantined, encode
from tests.contract.envelopes import cloudevents_complaints
from tests.origin_client.test_notice import LEAST, MOST, notice

GOLDEN: Final = Path(__file__).parent / "golden_notices"

WRITTEN: Final = {
    "refused_request": notice(LEAST),
    "refused_event": notice(MOST, "player-0001"),
    "quarantined_frame": encode(
        Notice(
            specversion="1.0",
            id="0198c0de-4444-7444-8444-000000000004",
            source="urn:edge:node:mt-1",
            type=QUARANTINED_TYPE,
            time="2026-02-14T20:00:00.000Z",
            edgenode="mt-1",
            edgeregion="eu-mt",
            data=Quarantined(
                lane="bet",
                segment=7,
                offset=4096,
                size_bytes=120,
                reason="no frame begins here",
            ),
        )
    ),
}
"""What is written now, by the name of the golden file that says what must be."""


@pytest.mark.parametrize("name", WRITTEN)
def test_a_notice_is_written_as_it_always_was(name: str) -> None:
    assert WRITTEN[name] + b"\n" == (GOLDEN / f"{name}.json").read_bytes()


def test_every_golden_file_is_one_of_them() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(WRITTEN)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_notice_is_a_cloudevent(name: str) -> None:
    assert cloudevents_complaints(WRITTEN[name]) == []
