"""Cameras, through FFmpeg's own drivers: V4L2, AVFoundation or DirectShow."""

from __future__ import annotations

import errno
import os
import re
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame

from ..errors import SourceError
from ..source import Source
from .background import BackgroundSource
from .live_source import Clock
from .live_video import LiveVideo, reason
from .reconnecting import ReconnectingSource

DRIVERS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
USUAL_SIZE = (640, 480)
USUAL_RATE = 30.0
_COMPRESSED_FROM = 480
"""Rows above which USB is too slow for bare pixels at full rate."""
_MAC_SCREEN = "Capture screen"
"""AVFoundation lists screens among cameras."""
_LONGEST_WAIT = 1.0
_OLDEST = 1.0
"""Seconds that a driver's stamp may lie back; one that lies further is of another clock."""

_MISSING = (errno.ENOENT, errno.ENODEV, errno.ENXIO)
_BUSY = (errno.EBUSY,)
_REFUSED = (errno.EACCES, errno.EPERM)
_FINAL = _MISSING + _BUSY + _REFUSED
_ALLOW = {
    "v4l2": "join the group 'video' (sudo usermod -aG video $USER) and log in again",
    "avfoundation": "allow it to the terminal in System Settings, Privacy & Security, Camera",
    "dshow": "allow it to desktop apps in Settings, Privacy & security, Camera",
}

# linux/videodev2.h: VIDIOC_QUERYCAP and struct v4l2_capability
_QUERYCAP = 0x80685600
_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_CAN_CAPTURE, _CAN_OUTPUT, _PER_DEVICE = 0x1, 0x2, 0x80000000


@dataclass(frozen=True)
class Camera:
    """A camera, or a driver's node that a virtual camera is fed by."""

    number: int
    """What stands after ``camera:``."""
    name: str
    address: str
    """What FFmpeg opens."""
    virtual: bool = False
    """Fed by a program, not by a lens."""
    accepts: bool = False
    """Takes pictures (a sink), instead of giving them."""
    trouble: str = ""
    """Why it can't be asked, where it can't."""

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"camera {self.number}" + (f" ({self.name})" if self.name else "")


def list_cameras(platform: str = sys.platform) -> list[Camera]:
    """All cameras of this machine, and on Linux the nodes of virtual ones, in order of their numbers."""
    if platform == "linux":
        return list_nodes(Path("/dev").glob("video*"))
    if platform not in DRIVERS:
        return []
    try:
        found = av.enumerate_input_devices(DRIVERS[platform])
    except (av.error.FFmpegError, ValueError):
        return []
    cameras = [
        device
        for device in found
        if (not device.media_types or "video" in device.media_types) and not device.description.startswith(_MAC_SCREEN)
    ]
    place = "video={}" if platform == "win32" else "{}:none"
    return [
        Camera(number, device.description or device.name, place.format(device.name))
        for number, device in enumerate(cameras)
    ]


def list_nodes(nodes: Iterable[Path], query: Callable[[Path], bytes] | None = None) -> list[Camera]:
    """Video4Linux's nodes that give or take pictures.

    Args:
        nodes: ``/dev/videoN``; others are passed over.
        query: asks a node for its ``struct v4l2_capability``; raises OSError.
    """
    query = query or _query
    cameras = []
    for node in nodes:
        number = re.fullmatch(r"video(\d+)", node.name)
        if not number:
            continue
        try:
            driver, card, _, _, whole, own = _CAPABILITY.unpack(query(node))
        except OSError as error:
            cameras.append(Camera(int(number[1]), "", str(node), trouble=(error.strerror or str(error)).lower()))
            continue
        can = own if whole & _PER_DEVICE else whole
        if not can & (_CAN_CAPTURE | _CAN_OUTPUT):
            continue
        name, virtual = _text(card), _text(driver) == "v4l2 loopback"
        cameras.append(Camera(int(number[1]), name, str(node), virtual, accepts=not can & _CAN_CAPTURE))
    return sorted(cameras, key=lambda camera: camera.number)


def _query(node: Path) -> bytes:
    import fcntl

    handle = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    try:
        return fcntl.ioctl(handle, _QUERYCAP, bytes(_CAPABILITY.size))
    finally:
        os.close(handle)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace").strip()


def choose_camera(cameras: Sequence[Camera], wanted: str | None) -> Camera:
    """The camera with a number, or with a name that holds these words; None takes the first, real ones before virtual.

    Raises:
        SourceError: there is none.
    """
    cameras = [camera for camera in cameras if not camera.accepts]
    if not cameras:
        raise SourceError("there is no camera here: plug one in, or use another source (a file, screen, a URL)")
    if wanted is None:
        return min(cameras, key=lambda camera: (bool(camera.trouble), camera.virtual, camera.number))
    for camera in cameras:
        if wanted in (str(camera.number), camera.address):
            return camera
    if not wanted.isdigit():
        for camera in cameras:
            if wanted.lower() in camera.name.lower():
                return camera
    here = ", ".join(f"camera:{camera.number}" + (f" ({camera.name})" if camera.name else "") for camera in cameras)
    raise SourceError(f"there is no camera '{wanted}'; there is {here}")


def open_camera(
    wanted: str | None,
    *,
    size: tuple[int, int] | None,
    rate: float | None,
    say: Callable[[str], None],
    listing: Callable[[], Sequence[Camera]] = list_cameras,
    opener: Callable[..., Any] = av.open,
) -> Source:
    """A camera's newest picture; unplugged, it is waited for, under the same name if it comes back on another number.

    Args:
        wanted: its number, its address or words of its name; None takes the first.
        size: width and height in pixels to ask it for; it may give others. 640×480 by default.
        rate: frames a second to ask it for; 30 by default.
        say: takes lines about what becomes of it.
        listing: finds cameras.
        opener: :func:`av.open`, but in tests.

    Raises:
        SourceError: no such camera, busy, or permission refused.
    """
    first = choose_camera(listing(), wanted)

    def connect() -> Source:
        camera = _found_again(first, listing())
        return connect_camera(camera, size or USUAL_SIZE, rate or USUAL_RATE, opener=opener)

    source = ReconnectingSource(connect, first.label, say=say, longest_wait=_LONGEST_WAIT)

    def silent() -> None:
        if not source.lost:
            say(f"{first.label} gives no picture just now; waiting for the next")

    return BackgroundSource(source, on_silence=silent)


def _found_again(camera: Camera, here: Sequence[Camera]) -> Camera:
    """A camera among those that are here now: at its address, or else under its name; never another one."""
    same = [other for other in here if other.name == camera.name and not other.accepts]
    if same:
        return next((other for other in same if other.address == camera.address), same[0])
    if any(other.address == camera.address for other in here):
        raise SourceError(f"{camera.label} isn't there: plug it in ({camera.address} is another one now)")
    return camera


def connect_camera(
    camera: Camera,
    size: tuple[int, int],
    rate: float,
    *,
    opener: Callable[..., Any] = av.open,
    driver: str | None = None,
    clock: Clock = time.monotonic,
) -> LiveVideo:
    """Open a camera once.

    Args:
        camera: which.
        size: width and height in pixels to ask it for.
        rate: frames a second to ask it for.
        opener: :func:`av.open`, but in tests.
        driver: FFmpeg's; this platform's by default.
        clock: what frames are stamped by.

    Raises:
        SourceError: it isn't there, busy, permission is refused, or it gives no picture.
    """
    driver = driver or DRIVERS.get(sys.platform, "v4l2")
    container = _open(camera, driver, _wishes(driver, size, rate), opener)
    if driver != "v4l2":
        return LiveVideo(container, camera.label, endless=True, clock=clock)
    return LiveVideo(container, camera.label, endless=True, captured=captured_at, clock=clock)


def captured_at(frame: VideoFrame, now: float) -> float:
    """When V4L2 says that a frame was captured: drivers stamp by Linux's monotonic clock, which Python's is too.

    One that stamps otherwise is told by a time to come, or long past; then it is ``now``.
    """
    return frame.time if frame.time is not None and 0 <= now - frame.time <= _OLDEST else now


def _wishes(driver: str, size: tuple[int, int], rate: float) -> list[dict[str, str]]:
    """What to ask a driver for, best first. V4L2 gives what is nearest; the others refuse what they can't do."""
    base = {"fpsprobesize": "0"}  # the driver says its rate; looking at pictures for it takes half a second
    sized = {"video_size": f"{size[0]}x{size[1]}", **base}
    whole = {**sized, "framerate": f"{rate:g}"}
    if driver == "v4l2":
        return [{**whole, "input_format": "mjpeg"}, whole] if size[1] > _COMPRESSED_FROM else [whole]
    return [whole, sized, base]


def _open(camera: Camera, driver: str, wishes: list[dict[str, str]], opener: Callable[..., Any]) -> InputContainer:
    try:
        container: InputContainer = opener(camera.address, format=driver, options=wishes[0])
    except (av.error.FFmpegError, OSError) as error:
        if len(wishes) == 1 or error.errno in _FINAL:
            raise SourceError(_why_closed(camera, driver, error)) from None
        return _open(camera, driver, wishes[1:], opener)
    return container


def _why_closed(camera: Camera, driver: str, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in _MISSING:
        return f"{camera.label} isn't there: plug it in ({camera.address} is gone)"
    if number in _BUSY:
        return (
            f"{camera.label} is in use: close the program that uses it (a call, a browser, OBS), or take another camera"
        )
    if number in _REFUSED:
        return f"{camera.label} is refused to you (no permission for {camera.address}): {_ALLOW[driver]}"
    if driver == "v4l2":
        return f"{camera.label} can't be opened ({reason(error)}): try another --size, or plug it in again"
    return f"{camera.label} can't be opened ({reason(error)}): close the program that uses it, or {_ALLOW[driver]}"
