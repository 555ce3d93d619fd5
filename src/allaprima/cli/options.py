"""Options that several verbs share, each written once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from ..painter import Painter
from ..picture import read_picture
from ..style import Declaration, Style

StyleOption = Annotated[str, typer.Option("--style", "-s", help="A bundled style's name, or a style file (.onnx).")]
StyleImageOption = Annotated[
    Path | None, typer.Option("--style-image", help="The picture to paint like, for any-style nets.")
]
RangeOption = Annotated[
    str | None, typer.Option("--range", help="What a foreign net works on: 0-1 or 0-255.", show_default=False)
]
StrideOption = Annotated[
    int | None, typer.Option("--stride", min=1, help="What a foreign net's sides must be multiples of.")
]
StrengthOption = Annotated[
    float, typer.Option("--strength", min=0.0, max=1.0, help="From the photograph (0) to the full style (1).")
]
KeepColorsOption = Annotated[bool, typer.Option("--keep-colors", help="Keep the colors of the picture.")]
EngineOption = Annotated[str, typer.Option("--engine", help="auto, onnxruntime or openvino.")]
PrecisionOption = Annotated[str, typer.Option("--precision", help="auto, f32, bf16, f16 or int8.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, or an accelerator that doctor lists.")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=0, help="Threads of the engine; 0 takes all cores.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``WxH`` to (width, height).

    Raises:
        UsageError: anything else, or a side of 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text.strip())
    if not match or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise UsageError(f"--size takes WIDTHxHEIGHT, like 1280x720, not '{text}'")
    return int(match[1]), int(match[2])


def parse_time(text: str | None) -> float | None:
    """Seconds, ``MM:SS`` or ``HH:MM:SS`` (each with decimals) to seconds.

    Raises:
        UsageError: anything else.
    """
    if text is None:
        return None
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text.strip()):
        raise UsageError(f"a time is seconds, MM:SS or HH:MM:SS, not '{text}'")
    seconds = 0.0
    for part in text.strip().split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def make_painter(
    style: str, style_image: Path | None, value_range: str | None, stride: int | None, **options: Any
) -> Painter:
    """The painter that the shared options describe.

    Raises:
        AllaprimaError: the style or an option can't be used.
    """
    if stride is not None and value_range is None:
        raise UsageError("--stride is for foreign styles: say --range 0-1 or --range 0-255 too")
    declared = None
    if value_range is not None:
        ranges = {"0-1": 1, "0-255": 255}
        if value_range not in ranges:
            raise UsageError(f"--range is 0-1 or 0-255, not '{value_range}'")
        declared = Declaration(ranges[value_range], stride or 1)
    picture = read_picture(style_image).pixels if style_image else None
    return Painter(Style.open(style, declared), style_image=picture, **options)
