"""Changes of style, strength and settings while frames go on: made ready beside what runs, then cross-faded."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import cv2
import numpy as np

from ..coherence.patches import Patches
from ..coherence.upsampling import Upsampler
from ..errors import AllaprimaError
from ..frame import Frame, Pixels, SourceInfo
from ..painter import Painter
from ..refiner import work_size_of
from ..stylizer import Stylizer
from .budget import Setting

FADE_SECONDS = 0.3
_SPARE = 3
"""Variants kept loaded beside one of each preloaded style, so that going to and fro loads nothing again."""

OpenPainter = Callable[[str, str], Painter]
"""Opens a style by its name in a precision, at full strength."""


@dataclass(frozen=True, slots=True)
class Look:
    """What frames are painted with."""

    style: str
    strength: float
    setting: Setting


class _Paints(Protocol):
    def stylize(self, frame: Frame) -> Frame: ...

    def reset(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Variant:
    """What must be loaded for a look; looks that differ in nothing else share it."""

    style: str
    precision: str
    work_size: int | None
    steady: bool
    """Whether there is coherence: pictures to paint have a border then."""
    carries: bool
    """Whether parts of frames are painted, too."""

    @classmethod
    def of(cls, look: Look) -> _Variant:
        setting = look.setting
        return cls(look.style, setting.precision, setting.work_size, setting.coherence > 0, setting.paint_every > 1)

    def nearest(self, look: Look) -> Look | None:
        """A look of the same style that this is enough for; None where there is none."""
        setting = look.setting
        if self.style != look.style or (self.steady and not setting.coherence):
            return None
        near = replace(
            setting,
            work_size=self.work_size,
            coherence=setting.coherence if self.steady else 0.0,
            paint_every=setting.paint_every if self.carries else 1,
            precision=self.precision,
        )
        return replace(look, setting=near)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A painter with its engine, and the same for parts of frames where they are asked for."""

    painter: Painter
    tiles: Painter | None
    placement: str


class _Loader:
    """Loads variants in a thread: the one that is wanted first, then a variant of each style to preload."""

    def __init__(
        self,
        open_painter: OpenPainter,
        info: SourceInfo,
        preload: Sequence[_Variant],
        on_failure: Callable[[_Variant, AllaprimaError], None],
    ) -> None:
        self._open, self._info, self._preload, self._on_failure = open_painter, info, list(preload), on_failure
        self._changed = threading.Condition()
        self._loaded: OrderedDict[_Variant, _Loaded] = OrderedDict()
        self._opened: dict[tuple[str, str], Painter] = {}
        self._wanted: _Variant | None = None
        self._failed: set[_Variant] = set()
        self._closed = False
        self._bug: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="allaprima-load", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Waits for what is being loaded."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def find(self, look: Look) -> tuple[Look, _Loaded] | None:
        """The look, or one of its style that can be had at once, with what is loaded for it; loads what is missing."""
        variant = _Variant.of(look)
        with self._changed:
            if self._bug is not None:
                raise self._bug
            if variant in self._loaded:
                self._loaded.move_to_end(variant)
                return look, self._loaded[variant]
            if variant != self._wanted:
                self._wanted = variant
                self._failed.discard(variant)
                self._changed.notify()
            for other in reversed(self._loaded):
                if (near := other.nearest(look)) is not None:
                    return near, self._loaded[other]
            return None

    def load(self, variant: _Variant) -> _Loaded:
        """Load now.

        Raises:
            AllaprimaError: it can't be loaded as asked.
        """
        kind = variant.style, variant.precision
        opened = self._opened.get(kind) or self._open(*kind)
        with self._changed:
            twin = self._loaded.get(replace(variant, carries=not variant.carries))
        painter = twin.painter if twin else opened.for_another_size()
        stylizer = Stylizer(painter, coherence=float(variant.steady), size=self._size, work_size=variant.work_size)
        placement = twin.placement if twin else stylizer.prepare(self._info)
        # Where it runs best is measured once, since that takes seconds, and from then on known for all sizes.
        self._opened[kind] = painter.for_another_size()
        blank: Pixels = np.full((self._info.height, self._info.width, 3), 128, np.uint8)
        stylizer.stylize(Frame(blank))  # the first picture takes longer than others
        tiles = self._load_tiles(painter, variant.work_size) if variant.carries and not painter.memory else None
        loaded = _Loaded(painter, tiles, placement)
        with self._changed:
            self._loaded[variant] = loaded
            self._forget()
        return loaded

    @property
    def _size(self) -> tuple[int, int]:
        return self._info.width, self._info.height

    def _load_tiles(self, painter: Painter, work_size: int | None) -> Painter | None:
        width, height = self._size if work_size is None else work_size_of(*self._size, work_size)
        corner = np.zeros((height, width), np.bool_)
        corner[: height // 8, : width // 8] = True
        patches = Patches(painter).covering(corner)
        if not patches:
            return painter
        tiles = painter.for_another_size()
        tiles.load(patches[0].tiles.height, patches[0].tiles.width)
        return tiles

    def _forget(self) -> None:
        """Let go of what wasn't used for longest, but for the last of each style to preload."""
        needed = {variant.style for variant in self._preload}
        for variant in list(self._loaded)[:-1]:
            if len(self._loaded) <= len(needed) + _SPARE:
                return
            if variant.style not in needed or sum(other.style == variant.style for other in self._loaded) > 1:
                del self._loaded[variant]

    def _next(self) -> _Variant | None:
        if self._wanted and self._wanted not in self._loaded and self._wanted not in self._failed:
            return self._wanted
        there = {variant.style for variant in self._loaded}
        return next((each for each in self._preload if each.style not in there and each not in self._failed), None)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._next() is not None)
                variant = self._next()
                if self._closed or variant is None:
                    return
            try:
                self.load(variant)
            except AllaprimaError as error:
                self._on_failure(variant, error)
                with self._changed:
                    self._failed.add(variant)
                    self._wanted = None if self._wanted == variant else self._wanted
            except BaseException as error:  # noqa: BLE001 - kept for the painting thread, which raises it
                with self._changed:
                    self._bug = error
                return


class Switcher:
    """Paints frames with the look that is wanted, as soon as that is loaded; until then with the one before.

    A new look fades in over :data:`FADE_SECONDS`, counted from the last frame of the old one, which it is blended with:
    only one style is painted at a time. A style of which another variant is loaded shows at once with that one.

    Args:
        open_painter: opens styles.
        look: to begin with.
        preload: names of styles to load beside the first one, with its setting, in this order.
        info: of the source. All frames are brought to that size, so that sinks needn't change theirs.
        say: told in one line what couldn't be loaded.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        open_painter: OpenPainter,
        look: Look,
        info: SourceInfo,
        *,
        preload: Sequence[str] = (),
        say: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._info, self._say, self._clock = info, say, clock
        self._lock = threading.Lock()
        self._wanted = self._shown = look
        self.loading: str | None = None
        """The style that is asked for, while there is nothing yet to paint it with."""
        self._stylizer: _Paints | None = None
        self._last: tuple[Pixels, float] | None = None
        """What was shown last, and when it was painted."""
        self._fading: tuple[Pixels, float] | None = None
        """The last of the look before."""
        variants = [_Variant.of(replace(look, style=style)) for style in (look.style, *preload)]
        self._loader = _Loader(open_painter, info, variants, self._failed)

    @property
    def wanted(self) -> Look:
        """What was asked for last, unless it can't be had."""
        with self._lock:
            return self._wanted

    @property
    def shown(self) -> Look:
        """What the last frame was painted with."""
        with self._lock:
            return self._shown

    def want(self, look: Look) -> None:
        """Change to another look, from any thread; it shows from the next frame on for which it is loaded."""
        with self._lock:
            self._wanted = look

    def prepare(self) -> str:
        """Load the first look, and begin to load others beside; what will run, in words.

        Raises:
            AllaprimaError: it can't be loaded as asked.
        """
        look = self.wanted
        loaded = self._loader.load(_Variant.of(look))
        self._show(look, loaded)
        self._loader.start()
        return loaded.placement

    def reset(self) -> None:
        """Forget what came before: after a change of source. In the painting thread."""
        if self._stylizer:
            self._stylizer.reset()

    def paint(self, frame: Frame) -> Frame:
        """Paint one frame, in the painting thread.

        Raises:
            AllaprimaError: the style or its engine fails.
        """
        stylizer = self._current()
        painting = stylizer.stylize(frame).pixels
        now = self._clock()
        if self._fading is not None:
            old, since = self._fading
            share = (now - since) / FADE_SECONDS
            if share < 1:
                painting = np.asarray(cv2.addWeighted(painting, share, old, 1 - share, 0), np.uint8)
            else:
                self._fading = None
        self._last = painting, now
        return frame.with_pixels(painting)

    def close(self) -> None:
        """Stop loading; waits for what is being loaded, since an engine can't be interrupted."""
        self._loader.close()

    def _current(self) -> _Paints:
        assert self._stylizer is not None  # prepare() comes first
        with self._lock:
            wanted, shown = self._wanted, self._shown
        found = self._loader.find(wanted) if wanted != shown else None
        self.loading = wanted.style if wanted.style != shown.style and found is None else None
        if found is not None and found[0] != shown:
            self._show(*found)
            self._fading = self._last
        return self._stylizer

    def _show(self, look: Look, loaded: _Loaded) -> None:
        self._stylizer = _stylizer(look, loaded, self._info)
        with self._lock:
            self._shown = look

    def _failed(self, variant: _Variant, error: AllaprimaError) -> None:
        self._say(f"{variant.style}: {error}")
        with self._lock:
            if _Variant.of(self._wanted) == variant:
                self._wanted = self._shown


def _stylizer(look: Look, loaded: _Loaded, info: SourceInfo) -> _Paints:
    painter, setting = loaded.painter.with_strength(look.strength), look.setting
    stylizer = Stylizer(
        painter, coherence=setting.coherence, size=(info.width, info.height), work_size=setting.work_size
    )
    if loaded.tiles is None or setting.paint_every == 1:
        return stylizer
    tiles = loaded.tiles.with_strength(look.strength)
    return _Carrying(stylizer, tiles if setting.work_size is None else tiles.for_work_size()[0], setting.paint_every)


class _Carrying:
    """Paints one frame in so many and carries it along to the others, without waiting for any to come."""

    def __init__(self, stylizer: Stylizer, tiles: Painter, every: int) -> None:
        self._stylizer, self._tiles, self._every = stylizer, tiles, every
        self._given: deque[Frame] = deque()
        self.reset()

    def reset(self) -> None:
        inner = self._stylizer.inner()
        upsampler = Upsampler(self._every, Patches(self._tiles), ahead=False, follow=inner.follow)
        self._painted = self._stylizer.around(partial(upsampler.paint, inner.stylize), iter(self._given.popleft, None))

    def stylize(self, frame: Frame) -> Frame:
        self._given.append(frame)
        return next(self._painted)
