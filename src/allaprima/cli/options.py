"""Options that several verbs share, each written once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import StyleError, UsageError
from ..painter import Painter
from ..picture import read_picture
from ..style import Declaration, Style

KeepColorsOption = Annotated[bool, typer.Option("--keep-colors", help="Keep the colors of the picture.")]
CoherenceOption = Annotated[
    float, typer.Option("--coherence", min=0.0, max=1.0, help="Hold strokes steady on moving pictures; 0 is off.")
]
WorkSizeOption = Annotated[
    int | None,
    typer.Option(
        "--work-size",
        metavar="PIXELS",
        help="Let the style work at this short side, and bring its painting to full size with the frame's edges.",
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RangeOption = Annotated[
    str | None, typer.Option("--range", help="What a foreign net works on: 0-1 or 0-255.", show_default=False)
]
StrideOption = Annotated[
    int | None,
    typer.Option(
        "--stride",
        min=1,
        help="What a foreign net's sides must be multiples of; told from its graph if left out.",
        show_default=False,
    ),
]
EngineOption = Annotated[str, typer.Option("--engine", help="auto, onnxruntime or openvino.")]
PrecisionOption = Annotated[str, typer.Option("--precision", help="auto, f32, bf16, f16 or int8.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, or an accelerator that doctor lists.")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=0, help="Threads of the engine; 0 takes all cores.")]

_STRIDE_ALONE = "--stride is for foreign styles: say --range 0-1 or --range 0-255 too"


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
    style: Annotated[str, typer.Option("--style", "-s", help="A bundled style's name, or a style file (.onnx).")],
    strength: Annotated[
        float, typer.Option("--strength", min=0.0, max=1.0, help="From the photograph (0) to the full style (1).")
    ] = 1.0,
    style_image: Annotated[
        Path | None, typer.Option("--style-image", help="The picture to paint like, for any-style nets.")
    ] = None,
    value_range: RangeOption = None,
    stride: StrideOption = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
) -> Painter:
    """The painter that a verb's options describe.

    Raises:
        AllaprimaError: the style or an option can't be used.
    """
    if stride is not None and value_range is None:
        raise UsageError(_STRIDE_ALONE)
    declared = None if value_range is None else declare(value_range, stride)
    picture = read_picture(style_image).pixels if style_image else None
    return Painter(
        Style.open(style, declared),
        style_image=picture,
        strength=strength,
        engine=engine,
        precision=precision,
        device=device,
        threads=threads,
    )


def declare(value_range: str, stride: int | None) -> Declaration:
    """What ``--range`` and ``--stride`` say of a foreign net.

    Raises:
        UsageError: a range that no net has.
    """
    ranges = {"0-1": 1, "0-255": 255}
    if value_range not in ranges:
        raise UsageError(f"--range is 0-1 or 0-255, not '{value_range}'")
    return Declaration(ranges[value_range], stride)


def open_one_of(name: str, value_range: str | None, stride: int | None) -> Style:
    """Open one of several styles, of which only the foreign ones need ``--range`` and ``--stride``.

    Raises:
        AllaprimaError: the style or an option can't be used.
    """
    if value_range is None:
        if stride is not None:
            raise UsageError(_STRIDE_ALONE)
        return Style.open(name)
    declared = declare(value_range, stride)
    try:
        return Style.open(name)
    except StyleError:
        return Style.open(name, declared)


def takes_painter(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options of :func:`make_painter` in place of its parameter ``painter``."""
    own = inspect.signature(verb, eval_str=True).parameters.values()
    shared = inspect.signature(make_painter, eval_str=True).parameters
    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in (*own, *shared.values())
        if parameter.name != "painter"
    ]

    def command(**given: Any) -> None:
        painter = make_painter(**{name: given.pop(name) for name in shared})
        verb(painter=painter, **given)

    command.__name__, command.__doc__ = verb.__name__, verb.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
