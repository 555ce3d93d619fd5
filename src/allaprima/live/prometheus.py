"""Serves a live run's figures as Prometheus text over HTTP."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from ..errors import MissingExtraError, SinkError, UsageError

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.registry import Collector

    from .latency import StageTimes
    from .session import Standing

_PLACE = re.compile(r"(?:(?P<ipv6>\[[^\[\]]+\])|(?P<name>[^:\[\]]+))?(?(ipv6):|(?(name):))(?P<port>[0-9]{1,5})")
_LOCAL = "127.0.0.1"
_MOST_PORT = 65535


def parse_place(text: str) -> tuple[str, int]:
    """The address and port of ``[ADDRESS:]PORT``; only this machine can ask where no address is given.

    Raises:
        UsageError: it is neither.
    """
    found = _PLACE.fullmatch(text.strip())
    port = int(found["port"]) if found else _MOST_PORT + 1
    if found is None or port > _MOST_PORT:
        raise UsageError(f"--prometheus takes [ADDRESS:]PORT, like 9464, 0.0.0.0:9464 or [::1]:9464, not '{text}'")
    return (found["ipv6"] or "").strip("[]") or found["name"] or _LOCAL, port


class MetricsServer:
    """Answers every request with the figures of the last :meth:`update`, in a thread of its own.

    All names begin with ``allaprima_``: ``frames_total``, ``dropped_frames_total`` by ``edge``; a summary
    ``latency_seconds`` by ``stage`` (``total`` is from captured to shown) and ``quantile``; the gauges
    ``uptime_seconds``, ``frames_per_second``, ``painting_busy_ratio``, ``strength_ratio``, ``coherence_ratio``,
    ``paint_every_frames``, ``work_size_pixels`` (missing at full size); and ``setting_info`` with ``style`` and
    ``precision``. Sliding ones are over the last second.

    Args:
        place: ``[ADDRESS:]PORT``; port 0 takes a free one, see :attr:`url`.

    Raises:
        UsageError: it isn't that, or there is no such address.
        SinkError: the port can't be had.
        MissingExtraError: prometheus-client isn't installed.
    """

    def __init__(self, place: str) -> None:
        address, port = parse_place(place)
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError as error:
            raise MissingExtraError("--prometheus", "live") from error
        self._standing: Standing | None = None
        registry = CollectorRegistry()
        registry.register(cast("Collector", self))  # it asks for nothing but collect()
        try:
            self._server, self._thread = start_http_server(port, address, registry)
        except (socket.gaierror, UnicodeError) as error:  # the latter, of names that can't be one
            raise UsageError(f"--prometheus: there is no address '{address}'") from error
        except OSError as error:
            raise SinkError(
                f"--prometheus: can't serve at {address}, port {port} ({error.strerror}); take another port or address"
            ) from error
        shown = f"[{address}]" if ":" in address else address
        self.url = f"http://{shown}:{self._server.server_port}/metrics"
        """Where the figures can be had."""

    def update(self, standing: Standing) -> None:
        """What is answered from now on; before the first time, nothing."""
        self._standing = standing

    def close(self) -> None:
        """Stop; the thread has ended then. Safe to call twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def collect(self) -> Iterator[Metric]:
        """The figures, for the library."""
        if self._standing is not None:
            yield from _families(self._standing)


def _families(standing: Standing) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

    report, look, setting = standing.report, standing.look, standing.look.setting
    yield CounterMetricFamily("allaprima_frames", "Frames shown.", report.frames)
    dropped = CounterMetricFamily("allaprima_dropped_frames", "Frames whose place newer ones took.", labels=["edge"])
    for edge, count in report.dropped.items():
        dropped.add_metric([edge], count)
    yield dropped
    # The library's own family of summaries knows no quantiles.
    latency = Metric("allaprima_latency_seconds", "How long frames took, by stage.", "summary")
    for stage, times in _stages(standing):
        for quantile, milliseconds in (("0.5", times.p50), ("0.95", times.p95)):
            latency.add_sample(latency.name, {"stage": stage, "quantile": quantile}, milliseconds / 1000)
    yield latency
    for name, what, value in (
        ("uptime_seconds", "Since the start.", report.seconds),
        ("frames_per_second", "Frames shown a second.", report.fps),
        ("painting_busy_ratio", "Share of the painting thread's time in which it painted.", report.busy),
        ("strength_ratio", "Of the style.", look.strength),
        ("coherence_ratio", "How much is done for steadiness.", setting.coherence),
        ("paint_every_frames", "One frame in so many is painted.", setting.paint_every),
        ("work_size_pixels", "Short side at which is painted; missing at full size.", setting.work_size),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"allaprima_{name}", what, value)
    info = {"style": look.style, "precision": setting.precision}
    yield InfoMetricFamily("allaprima_setting", "What is painted with.", info)


def _stages(standing: Standing) -> Iterator[tuple[str, StageTimes]]:
    yield from standing.report.stages.items()
    if standing.report.latency is not None:
        yield "total", standing.report.latency
