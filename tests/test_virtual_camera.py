"""The virtual camera, through a stand-in for its driver, and why there may be none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from live_sinks import RED, frame, one_line, open_sink

from allaprima.errors import MissingExtraError, SinkError
from allaprima.frame import SourceInfo


class FakeCamera:
    """A backend of pyvirtualcam's that keeps what it is sent."""

    trouble: str | None = None
    last: FakeCamera

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None) -> None:
        if self.trouble is not None:
            raise RuntimeError(self.trouble)
        self.size, self.fps, self.name, self.sent, self.closed = (width, height), fps, device, [], False
        FakeCamera.last = self

    sent: list[np.ndarray]

    def send(self, pixels: np.ndarray) -> None:
        if self.trouble is not None:
            raise RuntimeError(self.trouble)
        self.sent.append(pixels.reshape(self.size[1], self.size[0], 3).copy())

    def device(self) -> str:
        return self.name or "/dev/video7"

    def native_fourcc(self) -> int | None:
        return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def fake_camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    """The only virtual camera there is."""
    pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="needs the extra 'virtual-camera'")
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {})
    pyvirtualcam.register_backend("fake", FakeCamera)
    monkeypatch.setattr(FakeCamera, "trouble", None)
    return FakeCamera


def test_the_virtual_camera_shows_what_is_painted(fake_camera: type[FakeCamera]) -> None:
    """RGB, at an even size and the source's rate; its name is said."""
    said: list[str] = []
    info = SourceInfo(97, 65, Fraction(30000, 1001), Fraction(1, 1000))
    sink = open_sink("virtual-camera", info=info, said=said)
    sink.write(frame(0, size=(97, 65), color=RED))
    sink.write(frame(1, size=(48, 64), color=RED))
    camera = fake_camera.last
    assert said == ["the camera to choose is /dev/video7"]
    assert camera.size == (96, 64) and camera.fps == pytest.approx(29.97, abs=0.001)
    assert tuple(camera.sent[0][32, 48]) == RED
    assert tuple(camera.sent[1][32, 48]) == RED and not camera.sent[1][32, 5].any()
    assert sink.finish().frames == 2 and camera.closed
    sink.write(frame(2))
    assert sink.abandon().frames == 2
    open_sink("virtual-camera:/dev/video3").finish()
    assert fake_camera.last.name == "/dev/video3"


@pytest.mark.parametrize(
    ("system", "trouble", "name", "advice"),
    [
        ("Linux", "No v4l2 loopback device found at /dev/video[0-99].", "virtual-camera", "sudo modprobe v4l2loopback"),
        (
            "Linux",
            "Device /dev/video9 does not exist.",
            "virtual-camera:/dev/video9",
            "there is no virtual camera /dev/video9",
        ),
        (
            "Linux",
            "could not be configured: Device or resource busy",
            "virtual-camera:/dev/video3",
            "in use by another program",
        ),
        ("Linux", "Could not access device due to missing permissions.", "virtual-camera", "usermod -a -G video"),
        ("Darwin", "OBS Virtual Camera is not installed in your system.", "virtual-camera", "install OBS"),
        ("Windows", "OBS Virtual Camera device not found! Did you install OBS?", "virtual-camera", "install OBS"),
        ("Windows", "virtual camera output could not be started", "virtual-camera", "in use by another program"),
    ],
)
def test_why_there_is_no_virtual_camera(
    system: str, trouble: str, name: str, advice: str, fake_camera: type[FakeCamera]
) -> None:
    """What pyvirtualcam says on each system, with what to do."""
    fake_camera.trouble = trouble
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SinkError, match=advice) as error:
        patch.setattr("platform.system", lambda: system)
        open_sink(name)
    one_line(error)


def test_a_virtual_camera_that_goes_away_is_one_clear_line(
    fake_camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module may be unloaded at any time."""
    sink = open_sink("virtual-camera")
    monkeypatch.setattr(fake_camera, "trouble", "error\nwriting")
    with pytest.raises(SinkError, match="takes nothing any more") as error:
        sink.write(frame(0))
    one_line(error)
    sink.abandon()
    assert fake_camera.last.closed


def test_the_virtual_camera_is_an_extra(uninstall: Callable[[str], None]) -> None:
    """Said with how to install it."""
    uninstall("pyvirtualcam")
    with pytest.raises(MissingExtraError, match=r"allaprima\[virtual-camera\]"):
        open_sink("virtual-camera")


def test_without_a_driver_the_real_library_says_what_to_do() -> None:
    """On a machine that has no loopback device."""
    pytest.importorskip("pyvirtualcam", reason="needs the extra 'virtual-camera'")
    if sys.platform != "linux" or list(Path("/dev").glob("video*")):
        pytest.skip("this machine has video devices")
    with pytest.raises(SinkError, match="modprobe v4l2loopback") as error:
        open_sink("virtual-camera")
    one_line(error)
