"""Cameras: listed, asked for size and rate, unplugged and back, and three ways of not being there."""

from __future__ import annotations

import errno
import io
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from streams import encoded

from allaprima.devices import find_devices
from allaprima.errors import SourceError
from allaprima.sources.camera import (
    Camera,
    captured_at,
    choose_camera,
    connect_camera,
    list_cameras,
    list_nodes,
    open_camera,
)

FRONT = Camera(0, "Front Cam", "/dev/video0")
BACK = Camera(2, "Back Cam", "/dev/video2")
LOOP = Camera(1, "OBS", "/dev/video1", virtual=True)
AT_ONCE = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}
SINK = Camera(9, "allaprima", "/dev/video9", virtual=True, accepts=True)


class Wire:
    """Bytes from a camera: all of them, then the plug is pulled, or it waits for ever."""

    def __init__(self, payload: bytes, pulled: bool) -> None:
        self._bytes, self._pulled = io.BytesIO(payload), pulled
        self.released = threading.Event()

    def read(self, size: int = -1) -> bytes:
        time.sleep(0.001)
        found = self._bytes.read(size)
        if not found and self._pulled:
            raise OSError(errno.ENODEV, "No such device")
        if not found:
            self.released.wait(10)
        return found


class Driver:
    """Stands in for :func:`av.open`; notes what it is asked for."""

    def __init__(self, *answers: int | Wire) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str]]] = []

    def __call__(self, address: str, *, format: str, options: dict[str, str]) -> Any:
        self.asked.append((address, options))
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            av.error.err_check(-answer, filename=address)
        return av.open(answer, format="mjpeg", options=AT_ONCE)


def pictures(count: int = 8) -> bytes:
    return b"".join(encoded(count, form="mjpeg", codec="mjpeg"))


def capability(driver: str, card: str, whole: int, own: int) -> bytes:
    return struct.pack("=16s32s32sIII12x", driver.encode(), card.encode(), b"usb-1", 0, whole, own)


def test_nodes_are_listed_by_what_they_can_do() -> None:
    """Metadata nodes aren't cameras; loopback nodes are virtual; one that refuses is named with its trouble."""
    nodes = {
        "video10": capability("uvcvideo", "Front Cam", 0x84A00001, 0x04200001),
        "video11": capability("uvcvideo", "Front Cam", 0x84A00001, 0x04A00000),
        "video2": capability("v4l2 loopback", "allaprima", 0x85200002, 0x05200002),
        "video3": capability("old", "TV", 0x1, 0),
        "video4": PermissionError(errno.EACCES, "Permission denied"),
        "video-x": b"",
    }

    def query(node: Path) -> bytes:
        found = nodes[node.name]
        if isinstance(found, OSError):
            raise found
        return found

    found = list_nodes([Path("/dev") / name for name in nodes], query)
    assert found == [
        Camera(2, "allaprima", "/dev/video2", virtual=True, accepts=True),
        Camera(3, "TV", "/dev/video3"),
        Camera(4, "", "/dev/video4", trouble="permission denied"),
        Camera(10, "Front Cam", "/dev/video10"),
    ]


@pytest.mark.parametrize(
    ("platform", "driver", "address"), [("darwin", "avfoundation", "0:none"), ("win32", "dshow", "video=0")]
)
def test_other_systems_list_them_through_ffmpeg(
    monkeypatch: pytest.MonkeyPatch, platform: str, driver: str, address: str
) -> None:
    """Without microphones, and without the screens that macOS counts as cameras."""
    heard: list[str] = []

    def enumerate_input_devices(name: str) -> list[Any]:
        heard.append(name)
        found = [("0", "FaceTime", "video"), ("1", "Capture screen 0", "video"), ("0", "Microphone", "audio")]
        return [SimpleNamespace(name=n, description=d, media_types=[kind]) for n, d, kind in found]

    monkeypatch.setattr(av, "enumerate_input_devices", enumerate_input_devices)
    assert list_cameras(platform) == [Camera(0, "FaceTime", address)] and heard == [driver]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(None, FRONT), ("2", BACK), ("back", BACK), ("/dev/video2", BACK), ("1", LOOP)],
)
def test_a_camera_is_chosen(wanted: str | None, found: Camera) -> None:
    """By number, name or address; without any, a real one before a virtual one, and never a sink."""
    assert choose_camera([SINK, LOOP, FRONT, BACK], wanted) == found


@pytest.mark.parametrize(
    ("cameras", "wanted", "message"),
    [
        ([], None, "there is no camera here: plug one in"),
        ([SINK], None, "there is no camera here"),
        ([FRONT, BACK], "7", r"there is no camera '7'; there is camera:0 \(Front Cam\), camera:2 \(Back Cam\)"),
        ([FRONT], "side", "there is no camera 'side'"),
    ],
)
def test_a_camera_that_isnt_there(cameras: list[Camera], wanted: str | None, message: str) -> None:
    """Said with those that are."""
    with pytest.raises(SourceError, match=message):
        choose_camera(cameras, wanted)


def test_devices_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that takes pictures is no camera; one that can't be asked says why."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    fed = Camera(2, "painted", "/dev/video2", virtual=True, accepts=True)
    closed = Camera(3, "", "/dev/video3", trouble="permission denied")
    found = find_devices(lambda: [FRONT, fed, closed])
    assert [(entry.use, entry.name, entry.detail) for entry in found.cameras] == [
        ("camera:0", FRONT.name, ""),
        ("camera:3", "/dev/video3", "permission denied"),
    ]
    assert [entry.use for entry in found.virtual_cameras] == ["virtual-camera:/dev/video2"]
    found = find_devices(list)
    assert not found.cameras and not found.virtual_cameras
    assert "no camera: plug one in" in found.notes and any("modprobe v4l2loopback" in note for note in found.notes)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOENT, "isn't there: plug it in"),
        (errno.ENODEV, "isn't there: plug it in"),
        (errno.EBUSY, "is in use: close the program that uses it"),
        (errno.EACCES, r"is refused to you \(no permission for /dev/video0\): join the group 'video'"),
        (errno.EINVAL, r"can't be opened \(invalid argument\): try another --size"),
    ],
)
def test_every_reason_has_its_own_line(number: int, message: str) -> None:
    """Missing, busy and refused ask for different things to be done; they aren't tried again with other wishes."""
    driver = Driver(number)
    with pytest.raises(SourceError, match=message) as error:
        connect_camera(FRONT, (640, 480), 30, opener=driver, driver="v4l2")
    assert "\n" not in str(error.value) and len(driver.asked) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's driver")
def test_the_real_driver_says_that_a_camera_is_missing(tmp_path: Path) -> None:
    """FFmpeg's own error, not one of ours."""
    with pytest.raises(SourceError, match="isn't there"):
        connect_camera(Camera(97, "", str(tmp_path / "video97")), (640, 480), 30)


def test_large_pictures_are_asked_for_compressed_first() -> None:
    """USB is too slow for bare 720p at 30 a second; a camera without compression is taken as it is."""
    driver = Driver(errno.EINVAL, Wire(pictures(), pulled=True))
    source = connect_camera(FRONT, (1280, 720), 30, opener=driver, driver="v4l2")
    source.close()
    asked = {"video_size": "1280x720", "framerate": "30", "fpsprobesize": "0"}
    assert driver.asked == [("/dev/video0", {**asked, "input_format": "mjpeg"}), ("/dev/video0", asked)]


def test_drivers_that_refuse_what_they_cant_do_are_asked_for_less() -> None:
    """AVFoundation and DirectShow don't give what is nearest."""
    driver = Driver(errno.EIO, errno.EIO, Wire(pictures(), pulled=True))
    connect_camera(FRONT, (640, 480), 25, opener=driver, driver="avfoundation").close()
    assert [options for _, options in driver.asked] == [
        {"video_size": "640x480", "framerate": "25", "fpsprobesize": "0"},
        {"video_size": "640x480", "fpsprobesize": "0"},
        {"fpsprobesize": "0"},
    ]
    with pytest.raises(SourceError, match="close the program that uses it, or allow it"):
        connect_camera(FRONT, (640, 480), 25, opener=Driver(*[errno.EIO] * 3), driver="dshow")


def test_a_frame_is_as_old_as_the_driver_says() -> None:
    """Unless the driver's clock is another one."""
    ages: list[tuple[float | None, float]] = [(99.9, 99.9), (None, 100.0), (100.1, 100.0), (1.7e9, 100.0), (3.0, 100.0)]
    for stamp, expected in ages:
        assert captured_at(SimpleNamespace(time=stamp), 100.0) == expected  # type: ignore[arg-type]


def opened(driver: Driver, listing: Callable[[], list[Camera]], said: list[str]) -> Any:
    return open_camera(None, size=None, rate=None, say=said.append, listing=listing, opener=driver)


def test_unplugged_and_back_under_another_number() -> None:
    """It is found by its name, and no other is taken for it; the user hears of it once each way; frames go on."""
    wires = [Wire(pictures(), pulled=True), Wire(pictures(), pulled=False)]
    driver = Driver(wires[0], wires[1])
    other, moved = Camera(0, "Back Cam", "/dev/video0"), Camera(3, "Front Cam", "/dev/video3")
    here = [[FRONT], [FRONT], [other], [other, moved]]
    said: list[str] = []
    source = opened(driver, lambda: here.pop(0) if len(here) > 1 else here[0], said)
    count = 0
    for frame in source.frames():
        assert frame.pixels.shape == (48, 64, 3) and frame.captured is not None
        count += 1
        if len(said) == 2:
            break
    source.close()
    wires[1].released.set()
    assert count >= 2
    assert [address for address, _ in driver.asked] == ["/dev/video0", "/dev/video3"]
    assert said == [
        "camera 0 (Front Cam) gives no more pictures (no such device); waiting until it is back",
        "camera 0 (Front Cam) is back",
    ]


def test_a_camera_that_hangs_can_be_closed() -> None:
    """The driver doesn't return from its read; whoever waits for a frame is free at once all the same."""
    wire = Wire(pictures(), pulled=False)
    source = opened(Driver(wire), lambda: [FRONT], [])
    viewer = threading.Thread(target=lambda: list(source.frames()), name="test-viewer", daemon=True)
    viewer.start()
    time.sleep(0.2)
    source.close()
    viewer.join(5.0)
    assert not viewer.is_alive()
    wire.released.set()
