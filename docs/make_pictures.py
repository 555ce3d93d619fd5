"""The README's picture: a frame of the built-in clip, untouched and in every bundled style.

python docs/make_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from allaprima.frame import Pixels
from allaprima.painter import Painter
from allaprima.picture import write_picture
from allaprima.source import open_source
from allaprima.style import Style, bundled_styles

SECOND = 1.5


def labeled(pixels: Pixels, text: str) -> Pixels:
    """The picture with a white band and a caption below."""
    band = np.full((34, pixels.shape[1], 3), 255, np.uint8)
    cv2.putText(band, text, (8, 23), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (40, 40, 40), 1, cv2.LINE_AA)
    return np.vstack([pixels, band])


def main() -> None:
    """Write docs/images/styles.jpg."""
    with open_source("scene", start=SECOND) as source:
        frame = next(source.frames()).pixels
    tiles = [labeled(frame, "the built-in clip")]
    for path in bundled_styles():
        style = Style.open(path)
        painting, _ = Painter(style, engine="onnxruntime", precision="f32").paint(frame, {})
        tiles.append(
            labeled(painting, f"{style.name}: after {style.card.artist}, {style.card.title}, {style.card.year}")
        )
    out = Path(__file__).parent / "images" / "styles.jpg"
    out.parent.mkdir(exist_ok=True)
    write_picture(out, np.vstack(tiles), overwrite=True, quality=88)


if __name__ == "__main__":
    main()
