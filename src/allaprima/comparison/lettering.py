"""Labels that fit: another font for what Pillow's own lacks, smaller letters and an ellipsis where space ends."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

from PIL import ImageFont

SMALLEST = 10
"""Letters below this many pixels can't be read."""
_WIDER = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "Arial.ttf", "segoeui.ttf")
"""Fonts that systems have, and Pillow finds by name; its own holds little more than ASCII."""
_NO_CHARACTER = "\uffff"

Font = ImageFont.FreeTypeFont


def fitting_size(texts: Sequence[str], width: int, size: int) -> int:
    """The size in pixels, ``size`` at most and :data:`SMALLEST` at least, at which all texts are within ``width``."""
    longest = max((font_for(text, size).getlength(spelled(text, size)) for text in texts), default=0.0)
    return size if longest <= width else max(SMALLEST, int(size * width / longest))


def shortened(text: str, width: int, size: int) -> str:
    """The text as :func:`font_for` can draw it, its end replaced by an ellipsis where it is wider than ``width``."""
    font, text = font_for(text, size), spelled(text, size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…" if text else ""


def font_for(text: str, size: int) -> Font:
    """The font that holds most characters of a text; of several, Pillow's own."""
    return max(_fonts(size), key=lambda font: sum(_holds(font, c) for c in text))


def spelled(text: str, size: int) -> str:
    """The text in characters that its font holds: accents are dropped, and ``?`` stands for what is left."""
    font = font_for(text, size)
    return "".join(c if _holds(font, c) else _plain(c) for c in text)


def _plain(character: str) -> str:
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return letters or ("" if unicodedata.combining(character) else "?")


@cache
def _fonts(size: int) -> tuple[Font, ...]:
    own = ImageFont.load_default(size)
    if not isinstance(own, ImageFont.FreeTypeFont):
        raise TypeError("this Pillow was built without FreeType")
    found = [own]
    for name in _WIDER:
        try:
            found.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    return tuple(found)


def _holds(font: Font, character: str) -> bool:
    if character.isascii():
        return True
    return bytes(font.getmask(character)) != bytes(font.getmask(_NO_CHARACTER))
