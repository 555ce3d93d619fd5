"""Still pictures, read and written: everything that comes in is 8-bit sRGB from here on."""

from __future__ import annotations

import io
import os
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, ImageCms, PngImagePlugin, UnidentifiedImageError

from .errors import SinkError, SourceError
from .frame import Pixels

Alpha = NDArray[np.uint8]

MAX_PIXELS = 1_000_000_000
"""Pictures with more pixels (about 31,600 × 31,600) are refused before they are decoded; decoding and encoding take
about 10 bytes a pixel."""

PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".qoi", ".tga", ".tif"}
    | {".tiff", ".webp"}
)
"""What a folder is searched for. A single picture is known by its content, whatever its name."""

# Only formats that are decoded in this process: no EPS (runs Ghostscript), no metafiles.
_READABLE = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")
WRITABLE = {
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""Suffix to format, for what can be written."""
_HOLDS_ALPHA = frozenset({"AVIF", "PNG", "TIFF", "WEBP"})
_GRAY_MODES = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I;16L"})
_ALPHA_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
    cv2.error,
)

_pillows_limit = threading.Lock()

_TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: np.rot90,
}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A still picture, upright."""

    pixels: Pixels
    """uint8, H×W×3, sRGB."""
    alpha: Alpha | None = None
    """uint8, H×W, 0 clear to 255 opaque; None where the file has none."""
    notes: tuple[str, ...] = ()
    """What was changed on the way in."""


def read_picture(path: Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture: turned upright by its EXIF orientation, its ICC profile converted to sRGB, scaled to 8 bits.

    Gray, palette, alpha, 16-bit PNG and TIFF, and CMYK (with or without Adobe's inversion) are understood. Of an
    animation or a file of several pages the first picture is taken. CMYK without a profile is converted plainly
    (1 − C)(1 − K), for want of the ink's colors.

    Raises:
        SourceError: missing, empty, cut short, not a picture, or more than ``max_pixels``.
    """
    with _opened(path, max_pixels) as image:
        notes = []
        count = getattr(image, "n_frames", 1)
        image.load()
        if count > 1:
            notes.append(f"first of {count} pictures in the file")
        turn = _orientation(image)
        profile = image.info.get("icc_profile")
        plain, alpha, gray, scaled = _to_eight_bits(path, image)
        color, converted = _to_srgb(plain, profile, gray)
        pixels: Pixels = np.asarray(color, dtype=np.uint8)
        notes += scaled + converted
    if turn in _TURNS:
        pixels = _TURNS[turn](pixels)
        alpha = None if alpha is None else _TURNS[turn](alpha)
        notes.append("turned upright")
    return Picture(np.ascontiguousarray(pixels), None if alpha is None else np.ascontiguousarray(alpha), tuple(notes))


def picture_size(path: Path, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height as shown, from the header alone.

    Raises:
        SourceError: as :func:`read_picture`, as far as the header tells.
    """
    with _opened(path, max_pixels) as image:
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder by suffix, in natural order (``frame2`` before ``frame10``), without hidden files.

    Raises:
        SourceError: the folder can't be listed or holds no picture.
    """
    try:
        found = [p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"can't list '{folder}': {error.strerror}") from error
    if not found:
        raise SourceError(f"no picture in '{folder}': it takes {', '.join(sorted(PICTURE_SUFFIXES))}")
    return sorted(found, key=lambda p: (natural_key(p.name), p.name))


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts runs of digits by their value and the rest by its letters, regardless of case."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts if part)


def check_picture_destination(path: Path, *, overwrite: bool = False) -> None:
    """Refuse what :func:`write_picture` couldn't write, before anything is painted.

    Raises:
        SinkError: suffix without a format, no such folder, or a file that is there already.
    """
    kind = WRITABLE.get(path.suffix.lower())
    if kind is None:
        raise SinkError(f"can't write '{path.name}' as a picture: use {', '.join(sorted(WRITABLE))}")
    Image.init()
    if kind not in Image.SAVE:
        raise SinkError(f"the installed Pillow can't write {kind}: use .png, or upgrade Pillow")
    if path.is_dir():
        raise SinkError(f"'{path}' is a folder: name a file in it")
    if not path.parent.is_dir():
        raise SinkError(f"no folder '{path.parent}' to write into: create it first")
    if path.exists() and not overwrite:
        raise SinkError(f"'{path}' is there already: --overwrite replaces it")


def write_picture(
    path: Path, pixels: Pixels, like: Picture | None = None, *, overwrite: bool = False, quality: int = 92
) -> tuple[str, ...]:
    """Write a picture beside its final name, then give it that name; tagged sRGB where the format can say so.

    Metadata of the picture it was painted from (orientation, place, camera) isn't carried over.

    Args:
        path: where to; the suffix says the format.
        pixels: uint8, H×W×3, sRGB.
        like: the picture it was painted from; its alpha is kept, scaled where the size differs, in formats that hold
            one, and laid over white in others.
        overwrite: replace a file that is there.
        quality: of JPEG, WebP and AVIF, 1-100.

    Returns:
        What was changed on the way out.

    Raises:
        SinkError: the destination can't be written.
    """
    check_picture_destination(path, overwrite=overwrite)
    kind = WRITABLE[path.suffix.lower()]
    notes: tuple[str, ...] = ()
    alpha = None if like is None else like.alpha
    if alpha is not None and alpha.shape != pixels.shape[:2]:
        size = (pixels.shape[1], pixels.shape[0])
        shrinks = alpha.shape[0] > size[1]
        scaled = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        alpha = np.asarray(scaled, np.uint8)
    if alpha is None:
        image = Image.fromarray(pixels)
    elif kind in _HOLDS_ALPHA:
        image = Image.fromarray(np.dstack([pixels, alpha]))
    else:
        share = alpha[..., None].astype(np.float32) / 255
        image = Image.fromarray((255 + (pixels - np.float32(255)) * share + 0.5).astype(np.uint8))
        notes = (f"{kind} holds no alpha: laid over white",)

    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with aside.open("xb") as file:
                image.save(file, format=kind, **_save_options(kind, quality))
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SinkError(f"can't write '{path}': {reason}") from error
    return notes


def _header(file: BinaryIO, formats: list[str], max_pixels: int) -> Image.Image:
    """The file with its header read. Pillow's own limit, one for the whole process, is as high as ours meanwhile."""
    with _pillows_limit:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max(before or 0, max_pixels)
        try:
            return Image.open(file, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """The file as Pillow sees it; whatever goes wrong with it inside becomes a SourceError."""
    try:
        Image.init()
        formats = [name for name in _READABLE if name in Image.OPEN]
        if path.stat().st_size == 0:
            raise SourceError(f"'{path}' is empty")
        with warnings.catch_warnings():
            # The limit here is ours, and an error.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Given a name, Pillow maps uncompressed TIFF into memory and turns it twice; a file is read.
            with path.open("rb") as file, _header(file, formats, max_pixels) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise SourceError(
                        f"'{path}' is {width}×{height}, more than {max_pixels / 1e6:g} megapixels: scale it down first"
                    )
                yield image
    except Image.DecompressionBombError as error:
        raise SourceError(f"'{path}' has more than {max_pixels / 1e6:g} megapixels: scale it down first") from error
    except UnidentifiedImageError as error:
        raise SourceError(f"'{path}' is not a picture that can be read (or only the start of one)") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(f"no file '{path}'") from error
    except (IsADirectoryError, PermissionError) as error:
        raise SourceError(f"can't read '{path}': {error.strerror}") from error
    except _BROKEN as error:
        raise SourceError(f"'{path}' is damaged or cut short: {error}") from error


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8. Pillow turns TIFF itself; asking a PNG without the tag would decode it."""
    if image.format == "TIFF":
        return 1
    if image.format == "PNG" and not {"exif", "XML:com.adobe.xmp"} & image.info.keys():
        return 1
    value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if value in _TURNS else 1


def _to_eight_bits(path: Path, image: Image.Image) -> tuple[Image.Image, Alpha | None, bool, list[str]]:
    """L, RGB or CMYK pixels without alpha; the alpha; whether it was gray; notes."""
    deep = _deep_png(path) if image.format == "PNG" else None
    if deep is None and image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint16)
    if deep is not None:
        # v · 255 / 65535, rounded; Pillow keeps the high byte, which is darker by half a level on average.
        levels: NDArray[np.uint8] = np.empty(deep.shape, np.uint8)
        for row, given in zip(levels, deep, strict=True):
            row[:] = (given.astype(np.uint32) * 255 + 32767) // 65535
        note = ["16 bits scaled to 8"]
        if levels.ndim == 2:
            return Image.fromarray(levels), None, True, note
        color = np.ascontiguousarray(levels[..., 2::-1])
        return Image.fromarray(color), levels[..., 3] if levels.shape[2] == 4 else None, False, note
    if image.mode in ("I", "F"):
        raise SourceError(f"'{path}' has 32-bit pixels without a stated range: save it with 8 or 16 bits")

    gray = image.mode in _GRAY_MODES
    if image.mode == "CMYK":
        if image.format == "JPEG" and "adobe" not in image.info:
            # Pillow assumes Adobe's inversion always; without Adobe's marker there is none.
            image = ImageChops.invert(image)
        return image, None, False, []
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        whole = image.convert("RGBA")
        return whole.convert("RGB"), np.asarray(whole.getchannel("A")), gray, []
    return _as_rgb(image), None, gray, []


def _deep_png(path: Path) -> NDArray[np.uint16] | None:
    """Pixels of a PNG with 16 bits a channel, BGR order; None where it has fewer. Pillow has no such mode for color."""
    with path.open("rb") as file:
        # Signature 8 bytes, chunk length and name 8, width and height 8, then the depth.
        start = file.read(25)
        if len(start) < 25 or start[24] != 16:
            return None
        data = start + file.read()
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise ValueError("its 16-bit pixels can't be decoded")
    return np.asarray(decoded, np.uint16) if decoded.dtype == np.uint16 else None


def _to_srgb(image: Image.Image, profile: bytes | None, gray: bool) -> tuple[Image.Image, list[str]]:
    """RGB in sRGB, by the profile where there is one that fits."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = source.profile.xcolor_space.strip()
            if space == "GRAY" and gray:
                image = image.convert("L")
            elif space == "RGB" and image.mode == "L":
                image = image.convert("RGB")
            if {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}[image.mode] != space:
                return image.convert("RGB"), [f"its color profile is for {space} and was left out"]
            converted = ImageCms.profileToProfile(
                image,
                source,
                ImageCms.ImageCmsProfile(io.BytesIO(_srgb())),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, OSError) as error:
            return image.convert("RGB"), [f"its color profile can't be used and was left out: {error}"]
        if converted is not None:
            return converted, ["color profile converted to sRGB"]
    notes = ["CMYK without a color profile converted plainly"] if image.mode == "CMYK" else []
    return _as_rgb(image), notes


def _as_rgb(image: Image.Image) -> Image.Image:
    """Without the copy that Pillow makes of what is RGB already."""
    return image if image.mode == "RGB" else image.convert("RGB")


@cache
def _srgb() -> bytes:
    """An sRGB profile, the same bytes every time: the date in its header (bytes 24-35) is set to 2000-01-01."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def _save_options(kind: str, quality: int) -> dict[str, Any]:
    match kind:
        case "PNG":
            chunks = PngImagePlugin.PngInfo()
            chunks.add(b"sRGB", b"\x01")
            return {"pnginfo": chunks, "compress_level": 4}
        case "JPEG":
            return {"quality": quality, "subsampling": 0, "icc_profile": _srgb()}
        case "AVIF":
            return {"quality": quality, "subsampling": "4:4:4", "icc_profile": _srgb()}
        case "WEBP":
            return {"quality": quality, "icc_profile": _srgb()}
        case "TIFF":
            return {"compression": "tiff_lzw", "icc_profile": _srgb()}
        case _:
            return {}
