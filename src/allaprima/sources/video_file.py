"""A video file, or a video container on standard input, as frames."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain

import av.error
import cv2
from av.video.frame import VideoFrame

from ..errors import SourceError, UsageError
from ..frame import Frame, SourceInfo
from ..source import Source
from ..video.color import RgbReader
from ..video.geometry import Deinterlacer, Turn
from ..video.reader import VideoReader, is_cover
from ..video.side import SideChannel

_NEAR = Fraction(1, 2000)
"""Half a millisecond: a time typed with three digits still names its frame."""
_MARGIN = Fraction(1, 2)
_INTERLACED_ORDERS = (2, 3, 4, 5)


class VideoFileSource(Source):
    """Every frame of a video, as shown: deinterlaced, turned, 8-bit RGB.

    A damaged frame in the middle doesn't stop it: what the decoder makes of it is shown, or, where it makes nothing,
    the frame before stays longer; ``damaged`` counts both. Damage up to the end raises, after all frames before it.

    Args:
        name: a path, or ``-`` for standard input.
        start: seconds from the first frame; frames before it are left out, and times count from the first one kept.
        end: seconds from the first frame; frames from it on are left out.

    Raises:
        SourceError: nothing that can be read, or that can be painted (HDR); the message says why.
        UsageError: ``end`` isn't after ``start``, or a time is negative.
    """

    def __init__(self, name: str, *, start: float | None = None, end: float | None = None) -> None:
        if (start is not None and not 0 <= start < float("inf")) or (end is not None and not 0 < end < float("inf")):
            raise UsageError("start and end must be times in seconds, 0 or more")
        if start is not None and end is not None and end <= start:
            raise UsageError(f"the end ({end:g} s) must come after the start ({start:g} s)")
        self._start = Fraction(str(start)) if start else Fraction(0)
        self._end = Fraction(str(end)) if end is not None else None
        self._reader = VideoReader(name)
        try:
            self._open()
        except BaseException:
            self._reader.close()
            raise

    def _open(self) -> None:
        reader = self._reader
        self._decoded = reader.frames()
        first = next(self._decoded, None)
        if first is None:
            raise SourceError(f"{reader.label} has no frame that can be decoded; copy or download it again")
        self._decoded = chain([first], self._decoded)
        self._rgb = RgbReader(first, reader.label)
        self._turn = Turn(first)
        interlaced = first.interlaced_frame or reader.stream.codec_context.field_order in _INTERLACED_ORDERS
        self._deinterlacer = Deinterlacer(reader.stream) if interlaced else None
        self._size = (first.width, first.height)
        self._first = (first.pts or 0) * reader.time_base
        self._origin = Fraction(0)
        self.info = self._describe(first)
        duration = self._duration()
        if duration is not None and self._start > duration + 1:
            raise SourceError(self._beyond(duration))

    def _describe(self, first: VideoFrame) -> SourceInfo:
        stream = self._reader.stream
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        notes = list(self._rgb.notes)
        if self._deinterlacer is not None:
            notes.append("interlaced video was deinterlaced, one frame for each")
        if self._turn.needed:
            notes.append("the rotation stored in the file was applied")
        others = sum(s.type == "video" and not is_cover(s) for s in self._reader.container.streams) - 1
        if others:
            notes.append(f"{others} further video stream{'s were' if others > 1 else ' was'} left out")
        turned = self._turn.transpose
        return SourceInfo(
            width=first.height if turned else first.width,
            height=first.width if turned else first.height,
            frame_rate=Fraction(rate),
            time_base=self._reader.time_base,
            frames=self._estimate(Fraction(rate)),
            sample_aspect=1 / aspect if turned and aspect > 0 else aspect if aspect > 0 else Fraction(1),
            color=self._rgb.color,
            notes=tuple(notes),
        )

    def _duration(self) -> Fraction | None:
        stream, container = self._reader.stream, self._reader.container
        if stream.duration:
            return stream.duration * self._reader.time_base
        return Fraction(container.duration, 1_000_000) if container.duration else None

    def _estimate(self, rate: Fraction) -> int | None:
        duration = self._duration()
        if not self._start and self._end is None and self._reader.stream.frames:
            return self._reader.stream.frames
        if duration is None:
            return None
        last = duration if self._end is None else min(self._end, duration)
        return max(0, round((last - self._start) * rate))

    @property
    def label(self) -> str:
        """What messages call this source."""
        return self._reader.label

    @property
    def reader(self) -> VideoReader:
        """The container behind the frames: its streams, chapters and metadata."""
        return self._reader

    @property
    def side(self) -> SideChannel:
        """Packets of the sound and subtitles, for a sink that copies them."""
        return self._reader.side

    @property
    def damaged(self) -> int:
        """How many frames so far were damaged in the file."""
        return self._reader.damaged

    @property
    def cut(self) -> bool:
        """Whether ``start`` or ``end`` was given, so that times count from the first frame kept."""
        return bool(self._start) or self._end is not None

    @property
    def span(self) -> tuple[Fraction, Fraction | None]:
        """From when to when side packets belong to the cut, in seconds on the container's clock."""
        return (self._first + self._origin, None if self._end is None else self._first + self._end)

    def frames(self) -> Iterator[Frame]:
        """The frames, once.

        Raises:
            SourceError: the file ends early or is damaged up to its end (after all frames before that), or nothing
                shows from ``start`` on.
        """
        try:
            yield from self._frames()
        except (av.error.FFmpegError, OSError, MemoryError) as error:
            reason = "not enough memory" if isinstance(error, MemoryError) else error.strerror
            raise SourceError(
                f"{self.label} can't be read on: {reason}; convert it to H.264, or to a smaller size"
            ) from error

    def _frames(self) -> Iterator[Frame]:
        self.side.start()
        reader, base = self._reader, self._reader.time_base
        held: tuple[VideoFrame, int] | None = None
        last_pts: int | None = None
        shift = 0
        for frame in self._whole(self._selected()):
            pts = frame.pts if frame.pts is not None else (0 if last_pts is None else last_pts + max(1, frame.duration))
            if last_pts is None:
                self._origin = pts * base - self._first
                shift = pts if self.cut else 0
            elif pts <= last_pts:
                pts = last_pts + 1
            last_pts = pts
            if held is not None:
                yield self._finish(*held, duration=pts - shift - held[1])
            held = (frame, pts - shift)
        if held is not None:
            yield self._finish(*held, duration=self._last_duration(*held))
        if reader.ended_early:
            raise SourceError(self._broken_off(last_pts))
        if held is None:
            raise SourceError(self._beyond(self._duration()))

    def _last_duration(self, frame: VideoFrame, pts: int) -> int:
        stream = self._reader.stream
        if self._end is None:
            # MP4 keeps durations in the order of decoding: only the track's own says how long the last picture shows.
            end = (stream.start_time or 0) + (stream.duration or 0)
            left_over = end - (frame.pts or 0)
            whole = Fraction(self._reader.container.duration or 0, 1_000_000) + _NEAR >= end * self._reader.time_base
            return left_over if whole and left_over > 0 else frame.duration
        left = (self._end - self._origin) / self._reader.time_base - pts
        usual = frame.duration or round(1 / (self.info.frame_rate * self._reader.time_base))
        return max(1, min(usual, round(left)))

    def _broken_off(self, last_pts: int | None) -> str:
        where = (
            "before its first frame"
            if last_pts is None
            else f"{float(last_pts * self._reader.time_base - self._first):.2f} s in"
        )
        return f"{self.label} ends early or is damaged ({where}); copy or download it again for the rest"

    def _beyond(self, duration: Fraction | None) -> str:
        length = "" if duration is None else f", which lasts {float(duration):.2f} s"
        return f"nothing shows at {float(self._start):g} s in {self.label}{length}; give an earlier start"

    def _selected(self) -> Iterator[VideoFrame]:
        base = self._reader.time_base
        decoded = self._from_start() if self._start else self._decoded
        for frame in decoded:
            seconds = None if frame.pts is None else frame.pts * base - self._first
            if seconds is not None and seconds < self._start - _NEAR:
                continue
            if self._end is not None and seconds is not None and seconds >= self._end - _NEAR:
                self._reader.read_side(self._first + self._end)
                self._reader.ended_early = False
                return
            yield frame

    def _from_start(self) -> Iterator[VideoFrame]:
        if not self._reader.seekable:
            yield from self._decoded
            return
        sought = False
        for margin in (_MARGIN, Fraction(10)):
            target = self._start - margin
            if target <= 0:
                break
            sought = True
            self._reader.seek(self._first + target)
            decoded = self._reader.frames()
            first = next(decoded, None)
            if first is not None and first.pts is not None:
                seconds = first.pts * self._reader.time_base - self._first
                if seconds <= self._start:
                    yield first
                    yield from decoded
                    return
        if not sought:
            yield from self._decoded
            return
        self._reader.rewind()
        yield from self._reader.frames()

    def _whole(self, decoded: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        if self._deinterlacer is None:
            yield from decoded
            return
        for frame in decoded:
            yield from self._deinterlacer.filter(frame)
        yield from self._deinterlacer.filter(None)

    def _finish(self, frame: VideoFrame, pts: int, *, duration: int) -> Frame:
        pixels = self._rgb.read(frame)
        if (frame.width, frame.height) != self._size:
            pixels = cv2.resize(pixels, self._size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
        return Frame(self._turn.apply(pixels), pts, duration, self._reader.time_base, self._rgb.color)

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
