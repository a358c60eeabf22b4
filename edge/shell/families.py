"""Rows of numbers in, metric families as Prometheus reads them out."""

from collections.abc import Iterable
from typing import TypeAlias

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from edge.shell.meters import Histogram

Rows: TypeAlias = Iterable[tuple[tuple[str, ...], float]]
"""Values of the labels, and the number beside them."""


def counter(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """What only grows; ``_total`` is added to *name*."""
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in rows:
        family.add_metric(values, count)
    return family


def gauge(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """What is so now."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def histogram(name: str, text: str, durations: Histogram) -> Metric:
    """Durations by upper bound."""
    family = HistogramMetricFamily(name, text)
    family.add_metric((), durations.buckets(), durations.sum_s)
    return family
