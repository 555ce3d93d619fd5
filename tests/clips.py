"""Makes small video files for the tests, each with what one of them needs; a frame's gray is its number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from allaprima.sink import SinkOptions, SinkResult
from allaprima.sinks.video_file import VideoFileSink
from allaprima.sources.video_file import VideoFileSource

OVER = SinkOptions(overwrite=True)
STEP = 8
"""Gray levels between one frame and the next."""


def numbered(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture (uint8, H×W×3, RGB) from whose mean the frame's number can be read, for numbers below 30."""
    return np.full((height, width, 3), 8 + STEP * (index % 30), np.uint8)


def number_of(pixels: np.ndarray) -> int:
    """The number that :func:`numbered` put into a picture."""
    return round((float(pixels[8:-8, 8:-8].mean() if min(pixels.shape[:2]) > 20 else pixels.mean()) - 8) / STEP)


@dataclass
class Clip:
    """What to put into a file."""

    frames: int = 24
    size: tuple[int, int] = (64, 48)
    rate: Fraction = Fraction(25)
    time_base: Fraction | None = None
    times: Sequence[int] | None = None
    """In units of ``time_base``; evenly spaced by default."""
    last_duration: int | None = None
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: {"bf": "2", "g": "12", "preset": "veryfast", "crf": "10"})
    picture: Callable[[int, int, int], np.ndarray] = numbered
    rotation: int = 0
    aspect: Fraction | None = None
    colors: dict[str, int] = field(default_factory=dict)
    """``color_range``, ``colorspace``, ``color_primaries`` and ``color_trc`` of the encoder."""
    interlaced: bool = False
    sound: str | None = None
    sound_start: Fraction = Fraction(0)
    subtitles: str | None = None
    cover: bool = False
    chapters: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    format: str | None = None
    container_options: dict[str, str] = field(default_factory=dict)
    sound_first: bool = False
    """Put all sound before the first picture, as bad muxers do."""


def make(path: Path, clip: Clip | None = None, **changes: Any) -> Path:
    """Write a clip to ``path`` and return it."""
    clip = Clip(**changes) if clip is None else clip
    with av.open(str(path), "w", format=clip.format, container_options=clip.container_options) as out:
        base = clip.time_base or 1 / clip.rate
        options = dict(clip.options) if clip.codec.startswith("libx26") else {}
        if clip.codec == "libx265":
            options["x265-params"] = "log-level=none"
        if clip.interlaced:
            options["flags"] = "+ilme+ildct"
        video = out.add_stream(clip.codec, clip.rate, options, time_base=base)
        video.width, video.height = clip.size
        video.pix_fmt = clip.pixel_format
        if clip.aspect:
            video.codec_context.sample_aspect_ratio = clip.aspect
        if clip.interlaced:
            video.codec_context.field_order = 2
        for name, value in clip.colors.items():
            setattr(video.codec_context, name, value)
        if clip.rotation:
            video.set_display_rotation(clip.rotation)
        video.metadata["language"] = "fra"
        out.metadata.update(clip.metadata)
        if clip.chapters:
            out.set_chapters([_chapter(i, 400 * i, 400 * i + 400, f"part {i}") for i in range(2)])
        length = clip.frames / clip.rate
        sound = _add_sound(out, clip) if clip.sound else None
        words = _add_subtitles(out, clip) if clip.subtitles else None
        cover = _add_cover(out) if clip.cover else None
        out.start_encoding()
        if cover:
            out.mux(cover)
        beside = _sound_packets(sound, length, clip.sound_start) if sound else []
        if clip.sound_first:
            out.mux(beside)
            beside = []
        beside += _subtitle_packets(words) if words else []
        _mux_in_order(out, _encode(clip, video, base), beside)
    return path


def _mux_in_order(out: Any, pictures: list[Any], beside: list[Any]) -> None:
    for packet in sorted(pictures + beside, key=lambda p: (p.dts or 0) * p.time_base):
        out.mux(packet)


def _encode(clip: Clip, stream: Any, base: Fraction) -> list[Any]:
    packets = [p for index in range(clip.frames) for p in stream.encode(_video_frame(clip, index, base))]
    packets += stream.encode(None)
    if clip.last_duration:
        shown = (clip.times[-1] - clip.times[0] if clip.times else 0) + clip.last_duration
        packets[-1].duration = shown - (packets[-1].dts - packets[0].dts)
        max(packets, key=lambda p: p.pts).duration = clip.last_duration
    return packets


def _video_frame(clip: Clip, index: int, base: Fraction) -> av.VideoFrame:
    width, height = clip.size
    rgb = av.VideoFrame.from_ndarray(clip.picture(index, width, height), format="rgb24")
    matrix = 1 if clip.colors.get("colorspace", 6) == 1 else 5
    full = clip.colors.get("color_range") == 2
    frame = rgb.reformat(
        format=clip.pixel_format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=2,
        dst_color_range=2 if full else 1,
    )
    every = round(1 / (clip.rate * base))
    frame.pts = clip.times[index] if clip.times else index * every
    frame.time_base = base
    last = index + 1 == clip.frames
    following = clip.times[index + 1] - clip.times[index] if clip.times and not last else every
    frame.duration = clip.last_duration if last and clip.last_duration else following
    return frame


def _chapter(number: int, start: int, end: int, title: str) -> dict[str, Any]:
    return {"id": number, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}


def _add_sound(out: Any, clip: Clip) -> Any:
    sound = out.add_stream(clip.sound, 48000)
    sound.codec_context.layout = "mono"
    sound.metadata["language"] = "deu"
    return sound


def _sound_packets(stream: Any, seconds: Fraction, start: Fraction) -> list[Any]:
    context = stream.codec_context
    size = context.frame_size or 1024
    packets, position = [], 0
    form = context.format.name
    while position < seconds * 48000:
        wave = np.sin(2 * np.pi * 440 * np.arange(position, position + size) / 48000) * 0.3
        samples = wave.astype(np.float32)
        if form.startswith("s"):
            samples = (wave * 2 ** (int(form[1:3]) - 1)).astype(f"int{form[1:3]}")
        frame = av.AudioFrame.from_ndarray(samples[None], format=form, layout="mono")
        frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
        frame.pts = position + round(start * 48000)
        packets += stream.encode(frame)
        position += size
    return packets + stream.encode(None)


def _add_subtitles(out: Any, clip: Clip) -> Any:
    words = out.add_stream(clip.subtitles)
    words.time_base = Fraction(1, 1000)
    words.codec_context.subtitle_header = (
        b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
        b"Style: Default,Arial,16\n\n"
        b"[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    )
    words.metadata["language"] = "eng"
    words.disposition = av.stream.Disposition.forced
    return words


def _subtitle_packets(stream: Any) -> list[Any]:
    packets = []
    for index, text in enumerate((b"hello", b"world")):
        line = b"%d,0,Default,,0,0,0,,%s" % (index, text)
        shown = av.subtitles.subtitle.SubtitleSet.create(text=line, start=0, end=300, pts=index * 400000)
        packet = stream.codec_context.encode_subtitle(shown)
        packet.stream = stream
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = 100 + index * 400
        packet.duration = 300
        packets.append(packet)
    return packets


def _add_cover(out: Any) -> Any:
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 16, 16, "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 200, np.uint8), format="rgb24")
    packet = next(iter([*encoder.encode(frame), *encoder.encode(None)]))
    stream = out.add_stream("png", 1)
    stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb24"
    stream.disposition = av.stream.Disposition.attached_pic
    packet.stream = stream
    packet.pts = packet.dts = 0
    packet.time_base = Fraction(1, 25)
    return packet


def packets_of(path: Path, kind: str) -> list[bytes]:
    """The payloads of all packets of one kind of stream, in order."""
    with av.open(str(path)) as container:
        chosen = [
            s for s in container.streams if s.type == kind and not s.disposition & av.stream.Disposition.attached_pic
        ]
        return [bytes(p) for p in container.demux(chosen) if p.size] if chosen else []


def times_of(path: Path, kind: str = "video") -> list[Fraction]:
    """When all pictures (or the packets of another kind of stream) show, in seconds."""
    with av.open(str(path)) as container:
        chosen = [
            s for s in container.streams if s.type == kind and not s.disposition & av.stream.Disposition.attached_pic
        ]
        packets = container.demux(chosen) if chosen else ()
        return sorted(p.pts * p.time_base for p in packets if p.size and p.pts is not None)


def textured(index: int, width: int, height: int, *, soft: float) -> np.ndarray:
    """A picture that slides by two pixels a frame, blurred by a sigma of ``soft`` pixels."""
    rough = np.random.default_rng(3).standard_normal((height, width + 60, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(rough, (0, 0), soft)
    whole = np.clip(130 + 25 * blurred / blurred.std(), 60, 200).astype(np.uint8)
    return np.ascontiguousarray(whole[:, 2 * index : 2 * index + width])


def noise(index: int, width: int, height: int) -> np.ndarray:
    """Pictures that take many bytes, so that a cut in the file is a cut in the picture."""
    return np.random.default_rng(index).integers(0, 255, (height, width, 3), np.uint8)


def copy(name: Path | str, out: Path, options: SinkOptions = OVER, **cut: float) -> tuple[SinkResult, list[int]]:
    """Send a file's frames to another file; gives the result and the numbers in the frames."""
    with VideoFileSource(str(name), **cut) as source:
        sink = VideoFileSink(out, source, source.info, options)
        numbers = []
        for frame in source.frames():
            numbers.append(number_of(frame.pixels))
            sink.write(frame)
        return sink.finish(), numbers


def error_line(error: pytest.ExceptionInfo[Exception]) -> str:
    """The message, which must be one line."""
    text = str(error.value)
    assert text and "\n" not in text
    return text
