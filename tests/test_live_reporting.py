"""What a live run says of itself: lines over the picture, JSON, and Prometheus text over HTTP."""

from __future__ import annotations

import json
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from allaprima.errors import MissingExtraError, SinkError, UsageError
from allaprima.live.budget import Setting, State
from allaprima.live.latency import Report, StageTimes
from allaprima.live.prometheus import MetricsServer, parse_place
from allaprima.live.reporting import COLUMNS, json_line, overlay_lines, to_dict
from allaprima.live.session import Standing
from allaprima.live.switching import Look

STAGES = {
    "capture": StageTimes(3.1, 5.2),
    "wait": StageTimes(1.0, 2.4),
    "paint": StageTimes(26.0, 30.9),
    "deliver": StageTimes(0.1, 0.3),
    "show": StageTimes(4.6, 7.0),
}
REPORT = Report(
    seconds=61.25,
    fps=29.83,
    latency=StageTimes(36.4, 47.25),
    stages=STAGES,
    dropped={"capture": 12, "window": 0, "out.mp4": 3},
    frames=1800,
    busy=0.782,
)
WHY = "work size full → 360: painting took 41 ms, 33 allowed"
LOOK = Look("great-wave", 0.7, Setting(360, 1.0, 1, "auto"))
STANDING = Standing(REPORT, LOOK, State(2, LOOK.setting, WHY))
FIRST = Standing(
    Report(seconds=0.4, fps=0.0, latency=None, stages={}, dropped={}, frames=0, busy=0.0),
    Look("great-wave", 1.0, Setting(None, 0.0, 2, "f32")),
    None,
)


def test_overlay_tells_pace_stages_drops_setting_and_why() -> None:
    """Protects what the user sees: all of it, each on a line of its own, and edges without a loss left out."""
    assert overlay_lines(STANDING) == [
        "29.8 fps, latency 36/47 ms, painting 78% of the time",
        "capture 3/5 wait 1/2 paint 26/31 deliver 0/0 show 5/7",
        "dropped: capture 12, out.mp4 3",
        "great-wave 70%, work size 360, coherence 1, precision auto",
        WHY,
    ]


def test_overlay_before_the_first_frame() -> None:
    """Protects the first second: nothing is measured, nothing is chosen, and nothing is made up."""
    assert overlay_lines(FIRST) == [
        "0.0 fps, no frame yet, painting 0% of the time",
        "great-wave 100%, full size, coherence 0, painted every 2,",
        "  precision f32",
    ]


def test_overlay_stays_within_a_small_window() -> None:
    """Protects against text beyond the edge: long lines go on in the next one, also paths without a blank."""
    slow = {name: StageTimes(1000.0, 2000.0) for name in STAGES}
    long = replace(STANDING, report=replace(REPORT, stages=slow), look=replace(LOOK, style="a/" * 60 + "b.onnx"))
    for columns in (COLUMNS, 30):
        lines = overlay_lines(long, columns)
        assert max(map(len, lines)) <= columns
        words = "".join("".join(lines).split())
        assert "show1000/2000" in words and "b.onnx70%" in words and "33allowed" in words


def test_json_is_one_line_with_its_documented_fields() -> None:
    """Protects programs that read it: the fields of the docstring, in their units, on one line."""
    line = json_line(STANDING, ["the camera is lost"])
    assert "\n" not in line
    said = json.loads(line)
    assert said == to_dict(STANDING, ["the camera is lost"])
    assert said == {
        "seconds": 61.25,
        "fps": 29.83,
        "latency_ms": {"p50": 36.4, "p95": 47.25},
        "stages_ms": {name: {"p50": times.p50, "p95": times.p95} for name, times in STAGES.items()},
        "dropped": {"capture": 12, "window": 0, "out.mp4": 3},
        "frames": 1800,
        "busy": 0.782,
        "style": "great-wave",
        "strength": 0.7,
        "setting": {"work_size": 360, "coherence": 1.0, "paint_every": 1, "precision": "auto"},
        "reason": WHY,
        "notes": ["the camera is lost"],
    }
    documented = to_dict.__doc__ or ""
    assert all(f"``{name}``" in documented for name in (*said, *said["setting"]))


def test_json_before_the_first_frame() -> None:
    """Protects against missing fields: what isn't known yet is null."""
    said = json.loads(json_line(FIRST))
    assert set(said) == set(to_dict(STANDING))
    assert (said["latency_ms"], said["setting"]["work_size"], said["reason"]) == (None, None, None)
    assert to_dict(replace(FIRST, state=State(0, FIRST.look.setting)))["reason"] is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_places_are_read(text: str, place: tuple[str, int]) -> None:
    """Protects the option, and that nobody else can ask unless an address says so."""
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["", "metrics", ":9464", "1:2:3", "::1:9464", "65536", "localhost:", "-1", "9464/x"])
def test_places_that_are_none_are_refused(text: str) -> None:
    """Protects against serving where nobody meant to."""
    with pytest.raises(UsageError, match=r"takes \[ADDRESS:\]PORT"):
        parse_place(text)


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    pytest.importorskip("prometheus_client", reason="needs the extra 'live'")
    server = MetricsServer("127.0.0.1:0")
    yield server
    server.close()


def asked(server: MetricsServer) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What it answers, read by the library's own parser."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(server.url, timeout=10) as answer:
        text = answer.read().decode()
    families = list(text_string_to_metric_families(text))
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def sample(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return found[f"allaprima_{name}", frozenset(labels.items())]


def test_prometheus_gets_the_last_figures(server: MetricsServer) -> None:
    """Protects dashboards: names, labels and base units by convention, and always of the last report."""
    assert asked(server) == {}
    server.update(FIRST)
    server.update(STANDING)
    found = asked(server)
    assert sample(found, "frames_total") == 1800
    assert sample(found, "dropped_frames_total", edge="capture") == 12
    assert sample(found, "dropped_frames_total", edge="window") == 0
    assert sample(found, "latency_seconds", stage="paint", quantile="0.5") == pytest.approx(0.026)
    assert sample(found, "latency_seconds", stage="total", quantile="0.95") == pytest.approx(0.04725)
    assert sample(found, "frames_per_second") == pytest.approx(29.83)
    assert sample(found, "painting_busy_ratio") == pytest.approx(0.782)
    assert sample(found, "uptime_seconds") == pytest.approx(61.25)
    assert sample(found, "strength_ratio") == pytest.approx(0.7)
    assert sample(found, "coherence_ratio") == 1
    assert sample(found, "paint_every_frames") == 1
    assert sample(found, "work_size_pixels") == 360
    assert sample(found, "setting_info", style="great-wave", precision="auto") == 1
    documented = MetricsServer.__doc__ or ""
    assert all(f"``{name.removeprefix('allaprima_')}``" in documented for name, _ in found)
    server.update(FIRST)
    assert ("allaprima_work_size_pixels", frozenset[tuple[str, str]]()) not in asked(server)


def test_a_port_in_use_is_refused_and_the_server_ends(server: MetricsServer) -> None:
    """Protects against a run without its figures, and against threads left behind."""
    port = server.url.rsplit(":", 1)[1].removesuffix("/metrics")
    with pytest.raises(SinkError, match=rf"port {port} \(Address already in use\); take another port"):
        MetricsServer(port)
    server.close()
    server.close()
    assert not any("serve_forever" in thread.name for thread in threading.enumerate())
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", int(port)))


def test_addresses_that_are_not_here_are_refused() -> None:
    """Protects against a guess of another address: one line that says which one it was."""
    pytest.importorskip("prometheus_client", reason="needs the extra 'live'")
    for address in ("[::zz]", "a" * 64):
        with pytest.raises(UsageError, match=f"there is no address '{address.strip('[]')}'"):
            MetricsServer(f"{address}:9464")
    with pytest.raises(SinkError, match=r"can't serve at 192\.0\.2\.1, port 9464"):
        MetricsServer("192.0.2.1:9464")


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects those who installed the light package: the one line that helps."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'allaprima\[live\]'"):
        MetricsServer("9464")
