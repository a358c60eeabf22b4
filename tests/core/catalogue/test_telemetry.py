"""Lane telemetry: hands and devices, without a word that was typed."""

import pytest

from edge.core.catalogue.telemetry import InteractionBatch, Sample
from edge.core.reject import Reason
from tests.core.catalogue.judging import changed, decoding_complaint, read, refusal


def test_a_sample_is_read_by_the_names_of_its_elements() -> None:
    sample = [16, "nav", 10_000, 0, 7, 4]

    batch = read(changed("telemetry.interaction.batch", {"/data/samples": [sample]})).data

    assert isinstance(batch, InteractionBatch)
    assert batch.samples == (Sample(dt_ms=16, kind="nav", x=10_000, y=0, btn=7, flags=4),)


@pytest.mark.parametrize(
    ("element", "value"),
    [
        pytest.param(0, 60_001, id="later than a minute"),
        pytest.param(1, "key:a", id="which key"),
        pytest.param(2, 10_001, id="off every display"),
        pytest.param(3, -1, id="above the display"),
        pytest.param(4, 8, id="fourth button"),
        pytest.param(5, 8, id="fourth flag"),
        pytest.param(5, "text", id="text"),
    ],
)
def test_a_sample_is_refused_at_its_element(element: int, value: object) -> None:
    odd = changed("telemetry.interaction.batch", {f"/data/samples/1/{element}": value})

    assert str(decoding_complaint(odd)).endswith(f"at `$.data.samples[1][{element}]`")


def test_a_batch_may_be_still() -> None:
    assert refusal(changed("telemetry.interaction.batch", {"/data/samples": []})) is None


@pytest.mark.parametrize(
    ("event_type", "pointer", "text", "reason"),
    [
        pytest.param(
            "telemetry.interaction.batch",
            "/data/target",
            "4111 1111 1111 1111",
            Reason.PII_LEAK,
            id="card as an element's code",
        ),
        pytest.param(
            "telemetry.device.snapshot", "/data/lang", "a@b.mt", Reason.PII_LEAK, id="address"
        ),
        pytest.param(
            "telemetry.device.snapshot",
            "/data/os",
            "Win\ndows",
            Reason.SCHEMA_VIOLATION,
            id="line break",
        ),
        pytest.param(
            "telemetry.device.snapshot",
            "/data/fp_hash",
            "g" * 64,
            Reason.SCHEMA_VIOLATION,
            id="no hash",
        ),
        pytest.param(
            "telemetry.device.snapshot", "/data/os_version", "10.0.22631.4890", None, id="build"
        ),
    ],
)
def test_a_devices_strings_are_judged(
    event_type: str, pointer: str, text: str, reason: Reason | None
) -> None:
    verdict = refusal(changed(event_type, {pointer: text}))

    assert verdict == (None if reason is None else (reason, pointer))


@pytest.mark.parametrize("offset_min", [-840, -720, 720, 840])
def test_clocks_all_around_the_world_are_known(offset_min: int) -> None:
    abroad = changed("telemetry.device.snapshot", {"/data/tz_offset_min": offset_min})

    assert refusal(abroad) is None
