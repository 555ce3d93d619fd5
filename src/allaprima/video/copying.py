"""Copies sound, subtitles, cover art, chapters and metadata from one container to another, without re-encoding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from av.codec.context import CodecContext
from av.container import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream

from ..errors import SinkError
from .containers import LAYOUTS, Layout, holds, suffixes_holding
from .reader import VideoReader

_CONTAINER_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
_STREAM_TAGS = {"encoder", "rotate", "duration", "vendor_id"}
_HANDLERS = {"VideoHandler", "SoundHandler", "SubtitleHandler"}
_STATISTICS = re.compile(r"_?(BPS|DURATION|NUMBER_OF_|SOURCE_ID|STATISTICS)", re.IGNORECASE)
_ITUNES = {
    "title", "artist", "album_artist", "album", "composer", "date", "comment", "genre", "copyright", "grouping",
    "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "track", "disc",
    "creation_time", "media_type", "hd_video", "gapless_playback", "compilation", "season_number", "episode_sort",
    "language", "timecode",
}  # fmt: skip
_GAP = b"\0\0"
"""An empty MP4 subtitle, which lasts until the next one; the muxer writes these again by itself."""
_CONVERTERS = {"subrip": "subrip", "webvtt": "webvtt", "mov_text": "mov_text", "ass": "ass"}


def codec_of(stream: Stream) -> str:
    """FFmpeg's name of the format that a stream is in."""
    if stream.codec_context is None:
        return getattr(stream, "name", None) or "unknown"
    return stream.codec_context.codec.canonical_name


class Plan:
    """What of an input's side streams goes into a container; made before anything is written.

    Raises:
        SinkError: a sound or subtitle stream that the container can't hold, unless ``drop`` is set.
    """

    def __init__(self, reader: VideoReader, layout: Layout, *, drop: bool) -> None:
        self.layout = layout
        self.source = reader.container
        self.kept: list[Stream] = []
        self.notes: list[str] = []
        self.covers = [(self.source.streams[index], data) for index, data in reader.covers.items()]
        if self.covers and not layout.covers:
            self.covers.clear()
            self.notes.append(f"{layout.label} can't hold cover art; it was left out")
        for stream in reader.side.streams:
            codec = codec_of(stream)
            bare = codec == "aac" and layout.muxer == "avi" and not stream.codec_context.extradata
            if holds(layout, stream.type, codec) and not bare:
                self.kept.append(stream)
                if stream.type == "subtitle" and codec not in layout.subtitles:
                    self.notes.append(f"subtitles (stream {stream.index}) were converted from {codec} to {layout.text}")
                continue
            what = "subtitles" if stream.type == "subtitle" else "sound"
            if drop:
                self.notes.append(
                    f"{layout.label} can't hold {what} in {codec} (stream {stream.index}); it was left out"
                )
                continue
            others = ", ".join(s for s in suffixes_holding(stream.type, codec) if LAYOUTS[s] is not layout)
            other = f"write to {others}" if others else "no container here can"
            raise SinkError(
                f"{layout.label} can't hold the input's {what} in {codec} (stream {stream.index}); {other},"
                " or leave it out with --drop-unsupported"
            )
        data = [s for s in self.source.streams if s.type in ("data", "attachment") and not _made_again(s)]
        self.attachments = [s for s in data if isinstance(s, AttachmentStream) and layout.muxer == "matroska"]
        if len(data) > len(self.attachments):
            self.notes.append(f"{len(data) - len(self.attachments)} data stream(s) were left out")

    @property
    def indexes(self) -> set[int]:
        """Indexes in the input of the streams whose packets are wanted."""
        return {s.index for s in self.kept}


def _made_again(stream: Stream) -> bool:
    """Timecode and chapter tracks of MP4, which the muxer writes itself from metadata and chapters."""
    return stream.type == "data" and (stream.name in (None, "bin_data") or "timecode" in stream.metadata)


class Copier:
    """The copied streams of one output container."""

    def __init__(
        self, plan: Plan, out: OutputContainer, *, shift: Fraction, span: tuple[Fraction, Fraction | None] | None
    ) -> None:
        self._plan = plan
        self._out = out
        self._shift = shift
        self._span = span
        self._streams: dict[int, Stream] = {}
        self._last: dict[int, int] = {}
        self.disordered = 0
        """Packets left out because damage had put their times out of order."""
        self._texts: dict[int, SubtitleCodecContext] = {}
        for stream in plan.kept:
            self._add(stream)
        self._covers: list[Packet[Stream]] = []
        for cover, picture in plan.covers:
            self._add_cover(cover, picture)
        for attachment in plan.attachments:
            out.add_attachment(
                attachment.name or "file", attachment.mimetype or "application/octet-stream", attachment.data
            )

    def _add_cover(self, cover: Stream, picture: bytes) -> None:
        if self._plan.layout.muxer == "matroska":
            kind = "png" if codec_of(cover) == "png" else "jpeg"
            name = cover.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
            self._out.add_attachment(name, cover.metadata.get("mimetype", f"image/{kind}"), picture)
            return
        packet: Packet[Stream] = Packet(picture)
        packet.pts = packet.dts = 0
        packet.time_base = Fraction(1, 90000)
        packet.is_keyframe = True
        packet.stream = self._copy(cover)
        self._covers.append(packet)

    def start(self) -> None:
        """Write what comes before all packets; the output's header is written by this, or by the first packet."""
        self._out.start_encoding()
        self._out.mux(self._covers)

    def _add(self, stream: Stream) -> None:
        codec, layout = codec_of(stream), self._plan.layout
        if stream.type == "subtitle" and codec not in layout.subtitles and layout.text is not None:
            made = self._out.add_stream(_CONVERTERS[layout.text])
            made.time_base = Fraction(1, 1000)
            decoder = CodecContext.create(codec, "r")
            if not isinstance(decoder, SubtitleCodecContext) or not isinstance(made, SubtitleStream):
                raise SinkError(
                    f"this FFmpeg can't convert subtitles from {codec} to {layout.text}; use --drop-unsupported"
                )
            decoder.extradata = stream.codec_context.extradata
            decoder.open()
            made.codec_context.subtitle_header = decoder.subtitle_header
            self._texts[stream.index] = decoder
            self._describe(stream, made)
            self._streams[stream.index] = made
            return
        self._streams[stream.index] = self._copy(stream)

    def _copy(self, stream: Stream) -> Stream:
        made = self._out.add_stream_from_template(stream, opaque=True)
        self._describe(stream, made)
        return made

    def _describe(self, stream: Stream, made: Stream) -> None:
        made.metadata.update(stream_metadata(stream))
        made.disposition = stream.disposition

    def write(self, index: int, packet: Packet[Stream], *, until: Fraction | None = None) -> None:
        """Mux one packet of an input stream, at its time in the output.

        Args:
            until: leave out packets from this time on, in seconds on the output's clock.
        """
        made = self._streams.get(index)
        if made is None or not packet.size:
            return
        if packet.size == len(_GAP) and made.type == "subtitle" and bytes(packet) == _GAP:
            return
        if packet.pts is None:
            packet.pts = packet.dts
        if packet.pts is None:
            self.disordered += 1
            return
        if not self._inside(packet, made.type):
            return
        moved = round(self._shift / packet.time_base)
        packet.pts -= moved
        packet.dts = packet.pts if packet.dts is None else packet.dts - moved
        if until is not None and packet.pts * packet.time_base >= until:
            return
        last = self._last.get(index)
        rising = made.type == "audio" and self._plan.layout.muxer not in ("matroska", "webm")
        if packet.pts < packet.dts or (last is not None and packet.dts < last + rising):
            self.disordered += 1
            return
        self._last[index] = packet.dts
        for part in self._convert(index, packet):
            part.stream = made
            self._out.mux_one(part)

    def _inside(self, packet: Packet[Stream], kind: str) -> bool:
        if self._span is None or packet.pts is None:
            return True
        (start, end), base = self._span, packet.time_base
        at = packet.pts * base
        if end is not None and at >= end:
            return False
        left = at + (packet.duration or 0) * base - start
        if at < start and kind == "subtitle" and left > 0:
            packet.pts = packet.dts = round(start / base)
            packet.duration = round(left / base)
            return True
        return at >= start

    def _convert(self, index: int, packet: Packet[Stream]) -> Iterator[Packet[Any]]:
        if index in self._texts:
            made = self._streams[index]
            shown = self._texts[index].decode2(packet)
            if shown is None or not len(shown) or not isinstance(made, SubtitleStream):
                return
            text = made.codec_context.encode_subtitle(shown)
            text.pts = text.dts = packet.pts
            text.duration = packet.duration
            text.time_base = packet.time_base
            text.is_keyframe = True
            yield text
        else:
            yield packet


def stream_metadata(stream: Stream) -> dict[str, str]:
    """A stream's tags that stay true in another file."""
    return {
        key: value
        for key, value in stream.metadata.items()
        if key.lower() not in _STREAM_TAGS and not _STATISTICS.match(key) and value not in _HANDLERS
    }


def copy_description(
    plan: Plan, out: OutputContainer, shift: Fraction, span: tuple[Fraction, Fraction | None] | None
) -> None:
    """Copy the container's tags and chapters; ``shift`` and ``span`` in seconds as for :class:`Copier`."""
    tags = {k: v for k, v in plan.source.metadata.items() if k.lower() not in _CONTAINER_TAGS}
    out.metadata.update(tags)
    chapters = []
    for chapter in plan.source.chapters():
        base = chapter["time_base"] or Fraction(1, 1000)
        start, end = chapter["start"] * base, chapter["end"] * base
        if span is not None:
            start, end = max(start, span[0]), end if span[1] is None else min(end, span[1])
            if end <= start:
                continue
        chapter["start"], chapter["end"] = round((start - shift) / base), round((end - shift) / base)
        chapters.append(chapter)
    if chapters:
        out.set_chapters(chapters)


def needs_own_tags(plan: Plan) -> bool:
    """Whether an MP4 or MOV must be told to keep tags beyond the usual ones."""
    return any(key.lower() not in _ITUNES | _CONTAINER_TAGS for key in plan.source.metadata)
