"""Painted frames into a video file that is there from the first one, and survives whatever ends the program."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from ..errors import SinkError
from ..frame import Frame, SourceInfo
from ..sink import Sink, SinkOptions, SinkResult
from ..video.codecs import check_size, choose_codec, live_options
from ..video.containers import LAYOUTS, layout_for
from ..video.destination import Destination
from ..video.encoding import FAILURES, PictureTrack
from ..video.letterbox import letterboxed
from .times import LiveTimes

_PIECE_MILLISECONDS = 1000
"""What is lost at most, beside the frames in the encoder, when the program is killed."""
_FLAGS: dict[str, dict[str, str]] = {
    # Fragments while it grows; at its end it becomes a plain file, which seeks quickly in every player.
    "mp4": {"movflags": "hybrid_fragmented+frag_keyframe", "frag_duration": str(_PIECE_MILLISECONDS * 1000)},
    "matroska": {"cluster_time_limit": str(_PIECE_MILLISECONDS)},
}
_FLAGS |= {"mov": _FLAGS["mp4"], "webm": _FLAGS["matroska"]}


class GrowingFileSink(Sink):
    """Encodes frames into a file under its final name, with the times at which they were captured.

    At any moment the file can be played up to a second or so before its end. Frames of another size than the first
    one's are scaled to that, between black bars.

    Args:
        path: the file; its suffix chooses the container.
        info: of the frames that will be written.
        options: codec, quality, speed, and whether an existing file may be replaced.

    Raises:
        SinkError: the place, container, codec or settings make it impossible.
    """

    def __init__(self, path: Path, info: SourceInfo, options: SinkOptions) -> None:
        self._layout = layout_for(path)
        if self._layout.constant_rate:
            others = ", ".join(suffix for suffix, layout in LAYOUTS.items() if not layout.constant_rate)
            raise SinkError(f"{path.name}: {self._layout.label} can't hold a live recording; use one of {others}")
        self._codec = choose_codec(options, self._layout)
        check_size(self._codec, info.width, info.height)
        self._destination = Destination(path, None, overwrite=options.overwrite, grows=True)
        self._was_there = path.exists()
        self._destination.check()
        self._info, self._options = info, options
        self._times = LiveTimes()
        self._picture: PictureTrack | None = None
        self._closed = False
        self._lock = threading.Lock()

    def write(self, frame: Frame) -> None:
        """Encode one frame. After the end it is let go.

        Raises:
            SinkError: the disk is full, or the encoder refuses; what was written before is kept.
        """
        with self._lock:
            if self._closed:
                return
            try:
                frame = self._times.placed(frame)
                picture = self._picture or self._start(frame)
                picture.write(frame.with_pixels(letterboxed(frame.pixels, *picture.size)))
            except FAILURES as error:
                self._closed = True
                self._release()
                raise SinkError(self._destination.why(error, self._codec.name)) from error

    def _start(self, first: Frame) -> PictureTrack:
        self._picture = picture = PictureTrack(first, self._info, self._codec, self._layout)
        flags = self._layout.options | _FLAGS.get(self._layout.muxer, {}) | {"flush_packets": "1"}
        settings = live_options(self._codec, self._options, self._layout, self._info.frame_rate)
        container, _ = picture.open(self._destination.url, settings, flags)
        container.start_encoding()
        return picture

    def _release(self) -> None:
        """Let go of the file after a failure."""
        with suppress(*FAILURES):  # the first one is told
            if self._picture is not None:
                self._picture.close()

    def finish(self) -> SinkResult:
        """Write what the encoder still holds and the file's end; without a frame, no new file stays.

        Raises:
            SinkError: the disk is full; what was written before is kept.
        """
        with self._lock:
            frames = self._picture.frames if self._picture is not None else 0
            if not self._closed:
                self._closed = True
                try:
                    if self._picture is not None:
                        self._picture.drain()
                        self._picture.close()
                except FAILURES as error:
                    self._release()
                    raise SinkError(self._destination.why(error, self._codec.name)) from error
            if not frames and not self._was_there:
                self._destination.discard()
            notes = self._picture.notes if self._picture is not None else []
            return SinkResult(self._destination.path if frames else None, frames, tuple(notes))

    def abandon(self) -> SinkResult:
        """As :meth:`finish`, for a live recording ends when it is told to; what can't be written is a note."""
        try:
            return self.finish()
        except SinkError as error:
            frames = self._picture.frames if self._picture is not None else 0
            return SinkResult(self._destination.path if frames else None, frames, (str(error),))
