"""Painted frames into a video file, with the input's sound, subtitles, chapters and metadata."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from ..errors import SinkError
from ..frame import Frame, SourceInfo
from ..sink import Sink, SinkOptions, SinkResult
from ..source import Source
from ..sources.video_file import VideoFileSource
from ..video.codecs import check_size, choose_codec, encoder_options
from ..video.containers import layout_for
from ..video.copying import Copier, Plan, copy_description, needs_own_tags, stream_metadata
from ..video.destination import Destination
from ..video.encoding import FAILURES, PictureTrack


class VideoFileSink(Sink):
    """Encodes frames into one file, written as ``.NAME.part.EXT`` beside it and renamed when whole.

    Args:
        path: the file; its suffix chooses the container.
        source: where the frames come from; a :class:`VideoFileSource` has its other streams copied.
        info: of the frames that will be written.
        options: codec, quality, speed, and what to do with what doesn't fit.

    Raises:
        SinkError: the place, container, codec, settings or a stream of the source make it impossible.
    """

    def __init__(self, path: Path, source: Source, info: SourceInfo, options: SinkOptions) -> None:
        self._layout = layout_for(path)
        self._codec = choose_codec(options, self._layout)
        check_size(self._codec, info.width, info.height)
        self._source = source if isinstance(source, VideoFileSource) else None
        self._destination = Destination(
            path, self._source.reader.name if self._source else None, overwrite=options.overwrite
        )
        self._options = options
        self._info = info
        self._plan: Plan | None = None
        if self._source is not None:
            self._plan = Plan(self._source.reader, self._layout, drop=options.drop_unsupported)
            self._source.side.attach(self._plan.indexes)
        self._destination.check()
        self._notes: list[str] = list(self._plan.notes) if self._plan else []
        self._picture: PictureTrack | None = None
        self._copier: Copier | None = None
        self._closed = False

    def write(self, frame: Frame) -> None:
        """Encode one frame, and mux the packets of other streams that the source has read meanwhile.

        Raises:
            SinkError: the disk is full, the encoder refuses, or the frame's size differs from the first one's.
        """
        try:
            if self._closed:
                raise SinkError(f"{self._destination.path} is closed; open another sink")
            picture = self._picture or self._start(frame)
            picture.write(frame)
            self._drain()
        except FAILURES as error:
            self._fail(error)
        except SinkError:
            self._discard()
            raise

    def _start(self, frame: Frame) -> PictureTrack:
        layout, info, plan, source = self._layout, self._info, self._plan, self._source
        self._picture = picture = PictureTrack(frame, info, self._codec, layout)
        self._notes.extend(picture.notes)
        flags = dict(layout.options)
        if plan is not None and layout.muxer in ("mp4", "mov") and needs_own_tags(plan):
            flags["movflags"] = "use_metadata_tags"
        if layout.negative_times:
            flags["movie_timescale"] = str(picture.clock.fine_scale)
        settings = encoder_options(self._codec, self._options, layout)
        out, stream = picture.open(self._destination.url, settings, flags)
        if plan is not None and source is not None:
            span = source.span if source.cut else None
            shift = span[0] if span else Fraction(0)
            stream.metadata.update(stream_metadata(source.reader.stream))
            stream.disposition = source.reader.stream.disposition
            copy_description(plan, out, shift, span)
            self._copier = Copier(plan, out, shift=shift, span=span)
            self._copier.start()
        else:
            out.start_encoding()
        return picture

    def _drain(self, until: Fraction | None = None) -> None:
        if self._source is None or self._copier is None:
            return
        while (entry := self._source.side.take()) is not None:
            self._copier.write(*entry, until=until)

    def _close(self, picture: PictureTrack, until: Fraction | None = None) -> None:
        picture.drain()
        self._drain(until)
        unit = picture.unit
        picture.close()
        self._notes.extend(picture.clock.notes(unit))
        if self._copier is not None and self._copier.disordered:
            self._notes.append(
                f"{self._copier.disordered} packet(s) of sound or subtitles with damaged times were left out"
            )
        if not self._layout.negative_times:
            late = self._destination.begins() - picture.clock.begin
            if late > Fraction(1, 1000):
                self._notes.append(
                    f"all times are {float(late) * 1000:.0f} ms later ({self._layout.label} has none before zero)"
                )

    def finish(self) -> SinkResult:
        """Drain the encoder, close the file and give it its name.

        Raises:
            SinkError: the disk is full, or no frame was written.
        """
        if self._closed:
            raise SinkError(f"{self._destination.path} is closed; open another sink")
        if self._picture is None or not self._picture.frames:
            self._discard()
            raise SinkError(f"{self._destination.path} wasn't written: there was no frame; check the source")
        try:
            self._close(self._picture)
            if self._source is not None and self._source.damaged:
                self._notes.append(f"{self._source.damaged} frame(s) were damaged in the input")
            self._destination.keep()
        except FAILURES as error:
            self._fail(error)
        self._closed = True
        return SinkResult(self._destination.path, self._picture.frames, tuple(self._notes))

    def abandon(self) -> SinkResult:
        """Close what is there as ``NAME.partial.EXT``; nothing is kept without a frame, or on a full disk."""
        if self._closed or self._picture is None or not self._picture.frames:
            self._discard()
            return SinkResult(None, 0, tuple(self._notes))
        try:
            self._close(self._picture, until=self._picture.clock.end)
            kept = self._destination.keep_part()
        except FAILURES as error:
            self._discard()
            return SinkResult(None, 0, (*self._notes, f"nothing was kept: {error}"))
        self._closed = True
        return SinkResult(kept, self._picture.frames, tuple(self._notes))

    def _fail(self, error: Exception) -> None:
        self._discard()
        raise SinkError(self._destination.why(error, self._codec.name)) from error

    def _discard(self) -> None:
        if not self._closed:
            self._closed = True
            if self._picture is not None:
                try:
                    self._picture.close()
                except FAILURES as error:
                    self._notes.append(f"the unfinished file couldn't be closed: {error}")
            self._destination.discard()
