"""Painted frames as a camera that other programs can choose, through pyvirtualcam."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable
from typing import Any

from ..errors import MissingExtraError, SinkError
from ..frame import Frame, SourceInfo
from ..sink import Sink, SinkResult
from ..video.letterbox import letterboxed

_WHAT_TO_DO = {
    "Linux": "load v4l2loopback: sudo modprobe v4l2loopback exclusive_caps=1 card_label=allaprima"
    " (Debian: sudo apt install v4l2loopback-dkms)",
    "Darwin": "install OBS 30 or later, choose Start Virtual Camera in it once, and allow it in System Settings",
    "Windows": "install OBS (obsproject.com) and start it once, or Unity Capture",
}


class VirtualCameraSink(Sink):
    """Sends frames to a virtual camera: v4l2loopback on Linux, OBS on Windows and macOS.

    Frames of another size are scaled to the camera's, between black bars.

    Args:
        device: ``/dev/videoN`` or the camera's name; None takes the first that is free.
        info: of the frames that will be written; the camera has this size, made even, and this rate.
        say: takes a line for the user: which camera it is.

    Raises:
        MissingExtraError: pyvirtualcam isn't installed.
        SinkError: there is no virtual camera, it is in use, or it may not be written to.
    """

    def __init__(self, device: str | None, info: SourceInfo, *, say: Callable[[str], None]) -> None:
        try:
            import pyvirtualcam
        except ImportError as error:
            raise MissingExtraError("the virtual camera", "virtual-camera") from error
        self._size = (max(2, info.width & ~1), max(2, info.height & ~1))
        try:
            self._camera: Any = pyvirtualcam.Camera(*self._size, max(1.0, float(info.frame_rate)), device=device)
        except RuntimeError as error:
            raise SinkError(_why(str(error), device)) from error
        self._closed = False
        self._lock = threading.Lock()
        self._frames = 0
        say(f"the camera to choose is {self._camera.device}")

    def write(self, frame: Frame) -> None:
        """Show one frame. After the end it is let go.

        Raises:
            SinkError: the camera is gone.
        """
        with self._lock:
            if self._closed:
                return
            try:
                self._camera.send(letterboxed(frame.pixels, *self._size))
            except (RuntimeError, OSError) as error:
                raise SinkError(f"the virtual camera takes nothing any more: {' '.join(str(error).split())}") from error
            self._frames += 1

    def finish(self) -> SinkResult:
        """Let go of the camera."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._camera.close()
            return SinkResult(None, self._frames)

    def abandon(self) -> SinkResult:
        """As :meth:`finish`."""
        return self.finish()


def _why(said: str, device: str | None) -> str:
    """One line for what pyvirtualcam said, which has a line for each of its backends."""
    name = f"the virtual camera {device}" if device else "the virtual camera"
    said = "; ".join(line.partition("backend: ")[2] or line for line in said.splitlines()).rstrip(".")
    if "busy" in said.lower() or "could not be started" in said or "already in use" in said:
        return f"{name} is in use by another program ({said}); close that, or name another one"
    if "permission" in said.lower():
        return f"{name} may not be written to; add yourself to its group: sudo usermod -a -G video $USER, log in again"
    if device and ("does not exist" in said or "is not a" in said or "supports only" in said):
        return f"there is no virtual camera {device} ({said}); leave the name out, or {_advice()}"
    return f"no virtual camera ({said.partition('. ')[0]}); {_advice()}"


def _advice() -> str:
    return _WHAT_TO_DO.get(platform.system(), "this system has none that is known")
