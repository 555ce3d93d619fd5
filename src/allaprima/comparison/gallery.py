"""One picture in many styles: all of them on a sheet, with what they are painted after under each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..frame import Pixels
from ..painter import Painter
from ..style import Style
from ..stylizer import scale
from .mosaic import Heading, Mosaic, View


def fitted(picture: Pixels, side: int) -> Pixels:
    """The picture, uint8 H×W×3, scaled down so that its longer side has ``side`` pixels at most."""
    height, width = picture.shape[:2]
    share = min(1.0, side / max(height, width))
    return scale(picture, (max(1, round(width * share)), max(1, round(height * share))))


def painted_in(styles: Iterable[Style], picture: Pixels) -> Iterator[Pixels]:
    """The picture in each style, in ONNX Runtime f32: the same everywhere, to the last bits of a float.

    Args:
        styles: to paint in.
        picture: uint8 H×W×3 RGB.

    Yields:
        Paintings of its size.

    Raises:
        AllaprimaError: a style can't paint it.
    """
    for style in styles:
        yield Painter(style, engine="onnxruntime", precision="f32", device="cpu").paint_still(picture)


def hang(picture: Pixels, paintings: Sequence[tuple[Style, Pixels]], *, per_row: int) -> Pixels:
    """The sheet: the picture untouched, then every painting, each with its style's name and what that is after.

    Args:
        picture: uint8 H×W×3 RGB.
        paintings: with their styles; each of the picture's size.
        per_row: after how many the next ones begin below.

    Returns:
        uint8 H×W×3 RGB.
    """
    height, width = picture.shape[:2]
    headings = [Heading("untouched"), *(Heading(style.name, after(style)) for style, _ in paintings)]
    mosaic = Mosaic(headings, [View(width, height)], per_row=per_row, titled=True, under=True)
    return mosaic.fill([[picture], *([painting] for _, painting in paintings)])


def after(style: Style) -> str:
    """What a style is painted after: title, artist and year, as far as its card knows them."""
    return ", ".join(filter(None, (style.card.title, style.card.artist, style.card.year)))
