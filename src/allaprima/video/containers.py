"""Which container a file name means, and what each can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SinkError

_PCM = frozenset({"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_u8"})
_MPEG_AUDIO = frozenset({"aac", "mp2", "mp3", "ac3", "eac3", "dts"})
_TEXT = frozenset({"mov_text", "subrip", "ass", "webvtt", "text"})


@dataclass(frozen=True)
class Layout:
    """One container format. Codecs bear FFmpeg's names."""

    label: str
    muxer: str
    videos: tuple[str, ...]
    """Codecs for the picture, the default first."""
    audios: frozenset[str]
    subtitles: frozenset[str]
    text: str | None = None
    """The text subtitle codec that others are converted to; None where there is none."""
    negative_times: bool = False
    """Whether times before zero can be written; otherwise everything moves later together."""
    covers: bool = False
    """Whether cover art can be copied."""
    constant_rate: bool = False
    options: dict[str, str] = field(default_factory=dict)


_MP4_AUDIO = _MPEG_AUDIO | {"alac", "flac", "opus", "vorbis"}
_MP4 = Layout(
    "MP4",
    "mp4",
    ("h264", "hevc", "av1", "vp9"),
    frozenset(_MP4_AUDIO),
    frozenset({"mov_text", "dvd_subtitle"}),
    "mov_text",
    negative_times=True,
    covers=True,
)
_MOV = Layout(
    "QuickTime",
    "mov",
    ("h264", "hevc", "prores"),
    frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac"} | _PCM),
    frozenset({"mov_text"}),
    "mov_text",
    negative_times=True,
)
_MATROSKA = Layout(
    "Matroska",
    "matroska",
    ("h264", "hevc", "av1", "ffv1", "prores", "vp9"),
    frozenset(
        _MPEG_AUDIO | _PCM - {"pcm_s16be", "pcm_s24be", "pcm_s32be"} | {"alac", "flac", "opus", "vorbis", "truehd"}
    ),
    frozenset({"subrip", "ass", "webvtt", "dvd_subtitle", "dvb_subtitle", "hdmv_pgs_subtitle"}),
    "subrip",
    covers=True,
)
_WEBM = Layout("WebM", "webm", ("av1", "vp9"), frozenset({"opus", "vorbis"}), frozenset({"webvtt"}), "webvtt")
_AVI = Layout(
    "AVI",
    "avi",
    ("h264", "ffv1"),
    frozenset({"aac", "mp2", "mp3", "ac3", "dts"} | {"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8", "pcm_f32le"}),
    frozenset(),
    constant_rate=True,
)
_TS = Layout(
    "MPEG-TS",
    "mpegts",
    ("h264", "hevc"),
    frozenset(_MPEG_AUDIO | {"opus", "truehd"}),
    frozenset({"dvb_subtitle", "dvb_teletext"}),
    options={"mpegts_copyts": "1"},
)
_NUT = Layout(
    "NUT",
    "nut",
    ("h264", "hevc", "av1", "ffv1"),
    frozenset(_MPEG_AUDIO | _PCM | {"alac", "flac", "opus", "vorbis"}),
    frozenset({"subrip", "ass", "dvd_subtitle", "dvb_subtitle"}),
    "subrip",
)

LAYOUTS: dict[str, Layout] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MOV,
    ".mkv": _MATROSKA,
    ".webm": _WEBM,
    ".avi": _AVI,
    ".ts": _TS,
    ".m2ts": _TS,
    ".nut": _NUT,
}


def layout_for(path: Path) -> Layout:
    """The container that a file name's suffix means.

    Raises:
        SinkError: a suffix that isn't known, with those that are.
    """
    layout = LAYOUTS.get(path.suffix.lower())
    if layout is None:
        raise SinkError(f"{path.name}: can't write '{path.suffix}' video; use one of {', '.join(LAYOUTS)}")
    return layout


def is_text(subtitle: str) -> bool:
    """Whether a subtitle codec is text, which can be converted to another's framing."""
    return subtitle in _TEXT


def holds(layout: Layout, kind: str, codec: str) -> bool:
    """Whether a container takes a stream (``audio`` or ``subtitle``) as it is or, for text subtitles, converted."""
    if kind == "audio":
        return codec in layout.audios
    return codec in layout.subtitles or (is_text(codec) and layout.text is not None)


def suffixes_holding(kind: str, codec: str) -> list[str]:
    """The suffixes of all containers that take a stream."""
    return [suffix for suffix, layout in LAYOUTS.items() if holds(layout, kind, codec)]
