"""Opens a video file or a pipe for reading, and says in one line why one can't be."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ..errors import SourceError

_PICTURES = ("image2", "_pipe")
_NOT_VIDEO = {
    "tty",
    "hls",
    "concat",
    "dash",
    "bin",
    "xbin",
    "adf",
    "idf",
    "srt",
    "ass",
    "webvtt",
    "lrc",
    "txd",
    "ffmetadata",
}
_ENCRYPTED_TAGS = {"encv", "drmi"}
_PROBE = {"protocol_whitelist": "file"}


class _Pipe:
    """Standard input, read as it comes, never sought."""

    name = "standard input"

    def read(self, size: int) -> bytes:
        stream = sys.stdin.buffer
        return stream.read1(size) if isinstance(stream, io.BufferedReader | io.BytesIO) else stream.read(size)


def label_of(name: str) -> str:
    """What messages call a source."""
    return "standard input" if name == "-" else name


def open_container(name: str) -> InputContainer:
    """Open a path, or standard input for ``-``.

    Raises:
        SourceError: missing, empty, a folder, not a video container, cut short in its header.
    """
    label = label_of(name)
    place: Any = _Pipe()
    if name != "-":
        path = Path(name)
        if path.is_dir():
            raise SourceError(f"{label} is a folder; give a video file")
        if not path.exists():
            raise SourceError(f"{label} doesn't exist; check the name")
        if path.is_file() and path.stat().st_size == 0:
            raise SourceError(f"{label} is empty; copy or download it again")
        place = f"file:{name}"
    try:
        container: InputContainer = av.open(place, "r", container_options=_PROBE, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceError(_why_closed(name, label, error)) from None
    form = container.format.name
    if form in ("gif", "apng"):
        return container
    if form in _NOT_VIDEO:
        container.close()
        raise SourceError(f"{label} isn't a video; give a video file (mp4, mov, mkv, webm, avi, ts, nut)")
    if form.startswith(_PICTURES[0]) or form.endswith(_PICTURES[1]):
        container.close()
        raise SourceError(f"{label} is a picture, not a video; paint it with 'allaprima image'")
    return container


def _why_closed(name: str, label: str, error: Exception) -> str:
    if isinstance(error, PermissionError) or (name != "-" and not os.access(name, os.R_OK)):
        return f"{label} can't be read: permission denied; change its permissions"
    head = b"" if name == "-" else _head(Path(name))
    if head[4:8] == b"ftyp":
        return f"{label} is a damaged or unfinished MP4: its index (moov) is missing; copy or record it again"
    if name == "-" and isinstance(error, av.error.InvalidDataError):
        return (
            "standard input isn't a video that can be read from a pipe (an MP4 needs its index in front);"
            " give a file name, or pipe Matroska or MPEG-TS"
        )
    if head.startswith((b"\x1aE\xdf\xa3", b"RIFF", b"nut/")):
        return f"{label} is damaged in its header; copy or download it again"
    return f"{label} isn't a video that can be read; give a video file (mp4, mov, mkv, webm, avi, ts, nut)"


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError:
        return b""


def choose_video(container: InputContainer, label: str) -> VideoStream:
    """The video stream to paint: the default one, or the first; never cover art.

    Raises:
        SourceError: only sound, only cover art, encrypted, or in a codec that can't be decoded.
    """
    videos = [
        s
        for s in container.streams.video
        if not s.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
    ]
    if not videos:
        if container.streams.audio:
            raise SourceError(f"{label} has sound but no video; give a file with a picture track")
        raise SourceError(f"{label} has no video in it; give a video file")
    stream = next((s for s in videos if s.disposition & Disposition.default), videos[0])
    if stream.codec_context is None:
        raise SourceError(f"{label} is in a codec that can't be decoded here; convert it to H.264 first")
    if stream.codec_context.codec_tag in _ENCRYPTED_TAGS:
        raise SourceError(encrypted(label))
    return stream


def encrypted(label: str) -> str:
    """The message for a protected source."""
    return f"{label} is encrypted; give a copy without protection"
