"""The picture's encoders: which FFmpeg encoder a codec means, and its quality and speed settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction

import av
from av.video.stream import VideoStream

from ..errors import SinkError
from ..sink import SinkOptions
from .containers import LAYOUTS, Layout

_X26X = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_SVT = dict(zip(_X26X, (12, 11, 10, 9, 8, 7, 5, 3, 2, 1), strict=True))
_VP9 = dict(zip(_X26X, (8, 7, 6, 5, 4, 3, 2, 1, 1, 0), strict=True))
_MOST_PIXELS = (1 << 31) // 8
"""FFmpeg's bound on (width + 128) × (height + 128)."""
_DEFAULT_PRESET = SinkOptions().preset


@dataclass(frozen=True)
class Codec:
    """A codec that a video can be written in."""

    name: str
    encoder: str
    pixel_format: str
    crf: tuple[int, int] | None
    """The range of ``crf``, or the codec has none."""
    presets: tuple[str, ...] = ()
    smallest: int = 1
    """The least width and height in pixels."""


CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        Codec("h264", "libx264", "yuv420p", (0, 51), _X26X),
        Codec("hevc", "libx265", "yuv420p", (0, 51), _X26X, smallest=16),
        Codec("av1", "libsvtav1", "yuv420p", (0, 63), (*_X26X, *(str(n) for n in range(14))), smallest=4),
        Codec("vp9", "libvpx-vp9", "yuv420p", (0, 63), _X26X),
        Codec("ffv1", "ffv1", "bgr0", None),
        Codec("prores", "prores_ks", "yuv422p10le", None),
    )
}


def available_codecs() -> list[str]:
    """The codecs whose encoder is in this build of FFmpeg."""
    return [name for name, codec in CODECS.items() if codec.encoder in av.codecs_available]


def choose_codec(options: SinkOptions, layout: Layout) -> Codec:
    """The codec asked for, or the container's first one that can be encoded here.

    Raises:
        SinkError: unknown, not for this container, no encoder in this build, or settings it doesn't have.
    """
    here = available_codecs()
    name = options.codec or next((name for name in layout.videos if name in here), layout.videos[0])
    if name not in CODECS:
        raise SinkError(f"unknown codec '{name}'; use one of {', '.join(CODECS)}")
    if name not in layout.videos:
        fitting = ", ".join(suffix for suffix, other in LAYOUTS.items() if name in other.videos)
        raise SinkError(
            f"{layout.label} can't hold {name}; use one of {', '.join(layout.videos)}, or write to {fitting}"
        )
    codec = CODECS[name]
    if name not in here:
        raise SinkError(f"this FFmpeg has no encoder for {name} ({codec.encoder}); use one of {', '.join(here)}")
    if options.preset != _DEFAULT_PRESET and options.preset not in codec.presets:
        known = f"use one of {', '.join(codec.presets)}" if codec.presets else "it has none; leave it out"
        raise SinkError(f"unknown preset '{options.preset}' for {name}; {known}")
    if options.crf is not None:
        if codec.crf is None:
            raise SinkError(f"{name} has no crf; leave it out")
        low, high = codec.crf
        if not low <= options.crf <= high:
            raise SinkError(f"crf {options.crf} is out of range for {name}; use {low} to {high}")
    return codec


def check_size(codec: Codec, width: int, height: int) -> None:
    """Refuse a picture, sized in pixels, that is too small for a codec or too large for FFmpeg.

    Raises:
        SinkError: it is.
    """
    if min(width, height) < codec.smallest:
        least = f"{codec.smallest}x{codec.smallest}"
        raise SinkError(f"{codec.name} needs {least} pixels or more, not {width}x{height}; use h264 or ffv1")
    if (width + 128) * (height + 128) >= _MOST_PIXELS:
        raise SinkError(f"{width}x{height} pixels are more than FFmpeg can encode; use a smaller --size")


def encoder_options(codec: Codec, options: SinkOptions, layout: Layout) -> dict[str, str]:
    """The encoder's private options."""
    chosen: dict[str, str] = {}
    if options.crf is not None:
        chosen["crf"] = str(options.crf)
    if codec.name in ("h264", "hevc"):
        chosen["preset"] = options.preset
        if layout.constant_rate:
            chosen["bf"] = "0"
    if codec.name == "hevc":
        chosen["x265-params"] = "log-level=error"
    if codec.name == "av1":
        chosen["preset"] = str(_SVT.get(options.preset, options.preset))
    if codec.name == "vp9":
        chosen |= {"deadline": "good", "cpu-used": str(min(5, _VP9[options.preset])), "row-mt": "1", "b": "0"}
        chosen.setdefault("crf", "31")
    if codec.name == "ffv1":
        chosen |= {"level": "3", "slicecrc": "1"}
    return chosen


def live_options(codec: Codec, options: SinkOptions, layout: Layout, rate: Fraction) -> dict[str, str]:
    """The encoder's private options where frames come as they happen, ``rate`` a second.

    A second between keyframes and no frame that waits for a later one, so that little is lost when it ends at once.
    """
    chosen = encoder_options(codec, options, layout) | {"g": str(max(1, round(rate)))}
    if codec.name in ("h264", "hevc"):
        chosen["bf"] = "0"
    if codec.name == "av1":
        chosen["svtav1-params"] = "pred-struct=1"
    if codec.name == "vp9":
        chosen |= {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    return chosen


def add_picture(
    container: av.container.OutputContainer,
    codec: Codec,
    options: dict[str, str],
    rate: Fraction,
    time_base: Fraction,
) -> VideoStream:
    """Add the picture's stream to a container, not yet sized or opened; ``options`` as from ``encoder_options``."""
    if codec.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")
    bounded = rate.limit_denominator(1 << 20)
    stream = container.add_stream(codec.encoder, bounded, options, time_base=time_base)
    if not isinstance(stream, VideoStream):
        raise SinkError(
            f"{codec.encoder} isn't a video encoder in this FFmpeg; use one of {', '.join(available_codecs())}"
        )
    stream.pix_fmt = codec.pixel_format
    if codec.name == "hevc" and container.format.name in ("mp4", "mov"):
        stream.codec_context.codec_tag = "hvc1"
    return stream
