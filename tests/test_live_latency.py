"""Figures of a live run say what happened in the last second, and count from the start."""

from __future__ import annotations

import pytest
from live_fakes import Clock

from allaprima.live.latency import STAGES, LatencyMeter, StageTimes


def test_before_the_first_frame_there_is_nothing_to_say() -> None:
    """No rate and no latency are made up."""
    clock = Clock()
    report = LatencyMeter(window=1.0, clock=clock).report({"capture": 0})
    assert (report.seconds, report.fps, report.latency, dict(report.stages), report.frames, report.busy) == (
        0.0,
        0.0,
        None,
        {},
        0,
        0.0,
    )


def test_figures_of_an_even_stream() -> None:
    """25 frames a second, each 60 ms on its way, of which 20 ms painted."""
    clock = Clock()
    meter = LatencyMeter(window=1.0, clock=clock)
    for _ in range(100):
        start = clock.now
        for stage, begin, end in zip(STAGES, (0, 10, 20, 40, 50), (10, 20, 40, 50, 60), strict=True):
            meter.passed(stage, start + begin / 1000, start + end / 1000)
        meter.shown(start, start + 0.06)
        clock.now += 0.04
    clock.now += 0.02  # now is when the last one is shown
    report = meter.report({"capture": 3, "window": 0})
    assert report.fps == pytest.approx(25.0, abs=0.01)
    assert report.latency == StageTimes(pytest.approx(60.0), pytest.approx(60.0))
    assert report.stages["paint"].p50 == pytest.approx(20.0)
    assert report.busy == pytest.approx(0.5, abs=0.01)
    assert (report.frames, dict(report.dropped)) == (100, {"capture": 3, "window": 0})
    assert list(report.to_dict()) == ["seconds", "fps", "latency_ms", "stages_ms", "dropped", "frames", "busy"]


def test_only_the_window_counts() -> None:
    """What was slow before doesn't weigh on what is fast now."""
    clock = Clock()
    meter = LatencyMeter(window=1.0, clock=clock)
    for latency in (0.5, 0.02):
        for _ in range(25):
            clock.now += 0.05
            meter.passed("paint", clock.now - latency / 2, clock.now)
            meter.shown(clock.now - latency, clock.now)
    report = meter.report({})
    assert report.latency == StageTimes(pytest.approx(20.0), pytest.approx(20.0))
    assert report.stages["paint"].p95 == pytest.approx(10.0)


def test_the_tail_shows_in_the_95th_percentile_alone() -> None:
    """One slow frame in ten is what p95 is for."""
    clock = Clock()
    meter = LatencyMeter(window=10.0, clock=clock)
    for number in range(100):
        clock.now += 0.04
        meter.shown(clock.now - (0.2 if number % 10 == 0 else 0.02), clock.now)
    latency = meter.report({}).latency
    assert latency == StageTimes(pytest.approx(20.0), pytest.approx(200.0))


def test_a_source_that_stands_still_brings_the_rate_down_to_none() -> None:
    """A lost camera isn't hidden behind the frames that came before; its last latency is told on."""
    clock = Clock()
    meter = LatencyMeter(window=1.0, clock=clock)
    for _ in range(50):
        clock.now += 0.04
        meter.passed("paint", clock.now - 0.02, clock.now)
        meter.shown(clock.now - 0.05, clock.now)
    clock.now += 3.0
    report = meter.report({})
    assert (report.fps, report.busy) == (0.0, 0.0)
    assert report.latency == StageTimes(pytest.approx(50.0), pytest.approx(50.0))


def test_a_painting_that_takes_longer_than_the_window_is_work() -> None:
    """A net of three seconds a frame shows as busy all the time, in the middle of a frame, too."""
    clock = Clock()
    meter = LatencyMeter(window=1.0, clock=clock)
    clock.now += 5.0
    meter.painting(clock.now)
    clock.now += 2.0
    assert meter.report({}).busy == pytest.approx(1.0)
    meter.passed("paint", clock.now - 2.0, clock.now)
    clock.now += 0.75
    assert meter.report({}).busy == pytest.approx(0.25)
