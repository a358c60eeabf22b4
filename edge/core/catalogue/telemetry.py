"""What lane ``telemetry`` carries: how a session's hands moved, and on what device.

PII: ``fp_hash`` and the device are P2. Pointer dynamics are P4, behavioural biometrics: they
serve to tell a human from a machine within one session, never to know a person again. There
is no member for a key's value or for text.
"""

from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from edge.core.catalogue.forms import Count, Hmac64, Platform, Text, UnixMs
from edge.core.event import Payload

Coordinate: TypeAlias = Annotated[int, Meta(ge=0, le=10_000)]
"""Pixels, at most more than any display has."""


# A tuple because msgspec (0.22) forgets where it was when an array-like struct is too long;
# 256 take 38 µs to decode instead of 33.
class Sample(NamedTuple):
    """One movement or press, as an array of six.

    Attributes:
        dt_ms: Since the sample before, ms.
        kind: Move, down, up, click, wheel; touch start, end, move; key down, up (not which);
            focus, blur, navigation.
        x: Pixels from the left.
        y: Pixels from the top.
        btn: Bits of the buttons held.
        flags: Bit 0 the browser trusts the event, bit 1 touch, bit 2 a hint that it is made.
    """

    dt_ms: Annotated[int, Meta(ge=0, le=60_000)]
    kind: Literal["m", "d", "u", "c", "w", "t0", "t1", "tm", "kd", "ku", "f", "b", "nav"]
    x: Coordinate
    y: Coordinate
    btn: Annotated[int, Meta(ge=0, le=7)]
    flags: Annotated[int, Meta(ge=0, le=7)]


class Viewport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The visible area, in pixels."""

    w: Coordinate
    h: Coordinate


class Screen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The display: pixels, and device pixels per pixel times 100."""

    w: Count
    h: Count
    dpr_e2: Count


class InteractionBatch(Payload, frozen=True, kw_only=True):
    """What the pointer did for a while over one element.

    Attributes:
        target: Opaque code of the element, never its text.
    """

    t0_ms: UnixMs
    viewport: Viewport
    samples: Annotated[tuple[Sample, ...], Meta(max_length=256)]
    target: Annotated[str, Meta(max_length=32)]


class DeviceSnapshot(Payload, frozen=True, kw_only=True):
    """What a client's surroundings look like.

    Attributes:
        major: Major version of the browser.
        tz_offset_min: From UTC, minutes; signed, and in either sense, since browsers report
            it with the opposite sign: UTC-12 to UTC+14 exist.
        headless_hints: Bit mask, as the client library defines it.
        mem_gb_bucket: Memory in whole GB, rounded down by the client.
        fps_p50: Median frames per second.
        frame_drop_pct: Frames dropped, in percent.
    """

    platform: Platform
    os: Text
    os_version: Text
    browser_family: Text
    major: Count
    screen: Screen
    tz_offset_min: Annotated[int, Meta(ge=-840, le=840)]
    lang: Annotated[str, Meta(max_length=8)]
    webdriver: bool
    headless_hints: Count
    touch_points: Annotated[int, Meta(ge=0, le=10)]
    cpu_class: Text
    mem_gb_bucket: Count
    network: Literal["wifi", "mobile", "offline", "other"]
    fps_p50: Count
    frame_drop_pct: Annotated[int, Meta(ge=0, le=100)]
    fp_hash: Hmac64
