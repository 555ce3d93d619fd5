"""The built-in clips: rendered, deterministic, with exact motion and occlusions."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from fractions import Fraction

import numpy as np

from ..errors import SourceError
from ..frame import Frame, SourceInfo
from ..scenes import DEFAULT, SCENES, paint_scene
from ..scenes.stage import HEIGHT, WIDTH, motion_between, shoot
from ..source import Source, frame_range

RATE = 24
FRAMES = 96


class SceneSource(Source):
    """A clip of 640×360, 24 frames a second, four seconds, rendered as it is read.

    Every frame has ``motion`` and ``mask``. In the first one, which has no previous, motion is 0 and mask false
    everywhere.

    Args:
        name: a key of :data:`~allaprima.scenes.SCENES`; None takes the first.
        start: skip what shows before this time in seconds; the first frame that is left gets ``pts`` 0.
        end: stop at this time in seconds.

    Raises:
        SourceError: no scene has that name, or nothing lies between start and end.
    """

    def __init__(self, name: str | None, start: float | None = None, end: float | None = None) -> None:
        self.name = DEFAULT if name is None else name
        if self.name not in SCENES:
            close = get_close_matches(self.name, SCENES, n=1)
            hint = f"did you mean scene:{close[0]}? " if close else ""
            raise SourceError(f"no scene is called '{self.name}': {hint}there are {', '.join(SCENES)}")
        self._range = frame_range(FRAMES, Fraction(RATE), start, end)
        rate = Fraction(RATE)
        self.info = SourceInfo(WIDTH, HEIGHT, rate, 1 / rate, frames=len(self._range))

    def frames(self) -> Iterator[Frame]:
        scene = paint_scene(self.name)
        before = None
        for index in self._range:
            shot = shoot(scene, index / RATE)
            if before is None:
                motion, mask = np.zeros((HEIGHT, WIDTH, 2), np.float32), np.zeros((HEIGHT, WIDTH), np.bool_)
            else:
                motion, mask = motion_between(before, shot)
            yield Frame(shot.pixels, index - self._range.start, 1, self.info.time_base, self.info.color, motion, mask)
            before = shot
