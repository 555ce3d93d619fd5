"""Pictures that show again what was shown before: a game that waits, a menu, a clip given twice."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frame import Pixels

_SIDE = 16
# Looked at on games, films and sports: the same picture as a JPEG of quality 40, or with noise of σ = 4, differs by 0.5
# to 1.0 of 255, frames a third of a second apart by 8 to 66 in motion, by 1.3 to 5 where only players move before a
# still ground. Pictures of little contrast differ by less.
_SHARE, _LEAST_CONTRAST, _MOST_CONTRAST = 0.12, 10.0, 25.0


class Duplicates:
    """Remembers pictures, and tells which are near-duplicates of one it remembers.

    Two pictures are near-duplicates when their thumbnails of 16×16 pixels differ, on the mean over pixels and channels,
    by less than 3 of 255; by less where there is less contrast: 0.12 of the mean distance of the thumbnail's pixels
    from their mean color, but no less than 1.2. Size and proportions don't matter, light does.
    """

    def __init__(self) -> None:
        self._thumbnails = np.empty((64, 3 * _SIDE * _SIDE), np.float32)
        self._means = np.empty(64, np.float32)
        self._count = 0

    def is_new(self, pixels: Pixels) -> bool:
        """Whether a picture is no near-duplicate of those before; if so it is remembered.

        Args:
            pixels: uint8, H×W×3.
        """
        thumbnail = np.asarray(cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.float32)
        contrast = float(np.abs(thumbnail - thumbnail.mean(axis=(0, 1))).mean())
        limit = _SHARE * min(max(contrast, _LEAST_CONTRAST), _MOST_CONTRAST)
        flat = thumbnail.reshape(-1)
        # The mean difference is never less than the difference of the means, so most need not be looked at.
        near = np.flatnonzero(np.abs(self._means[: self._count] - flat.mean()) < limit)
        if near.size and float(np.abs(self._thumbnails[near] - flat).mean(axis=1).min()) < limit:
            return False
        self._remember(flat)
        return True

    def _remember(self, flat: NDArray[np.float32]) -> None:
        if self._count == len(self._means):
            self._thumbnails = np.concatenate([self._thumbnails, np.empty_like(self._thumbnails)])
            self._means = np.concatenate([self._means, np.empty_like(self._means)])
        self._thumbnails[self._count], self._means[self._count] = flat, flat.mean()
        self._count += 1
