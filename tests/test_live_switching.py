"""Changes of style and setting show at once where they are loaded, and hold up nothing where they aren't."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import nets
import numpy as np
import pytest
from live_fakes import INFO, LOOK, SETTING, Clock, gray, until

from allaprima import painter as painter_module
from allaprima.errors import EngineError, StyleError
from allaprima.frame import SourceInfo
from allaprima.live.switching import FADE_SECONDS, Switcher
from allaprima.painter import Painter
from allaprima.style import Style

SECOND = replace(LOOK, style="second")


class Shelf:
    """Styles to open: ``first`` paints the negative, ``second`` half the light, by its strength input."""

    def __init__(self, folder: Path) -> None:
        self._styles = {}
        for name, model in (("first", nets.negative()), ("second", nets.with_strength()), ("late", nets.with_state())):
            (folder / name).mkdir()
            inputs = tuple(value.name for value in model.graph.input)
            self._styles[name] = nets.style_of(folder / name, model, inputs=inputs)
        self.opened: list[str] = []
        self.may_open = threading.Event()
        self.may_open.set()
        self.fails: dict[str, BaseException] = {}

    def style(self, name: str) -> Style:
        return self._styles[name]

    def __call__(self, name: str, precision: str) -> Painter:
        if self.opened:  # the first look is loaded by the caller itself
            assert self.may_open.wait(10.0)
        self.opened.append(name)
        if name in self.fails:
            raise self.fails[name]
        return Painter(self._styles[name], engine="onnxruntime", precision=precision, device="cpu", threads=1)


@contextmanager
def switcher(shelf: Shelf, **options: object) -> Iterator[Switcher]:
    """One that is prepared, and closed at the end."""
    made = Switcher(shelf, options.pop("look", LOOK), options.pop("info", INFO), **options)  # type: ignore[arg-type]
    try:
        made.prepare()
        yield made
    finally:
        shelf.may_open.set()
        made.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def value(made: Switcher, light: int = 100) -> int:
    """How light a painting of one gray is, in the middle."""
    return int(made.paint(gray(light)).pixels[12, 16, 0])


def loaded(made: Switcher, shelf: Shelf, count: int) -> None:
    """Wait until so many styles were opened, and the last of them is loaded."""
    until(lambda: len(shelf.opened) >= count)
    made.close()


def test_a_loaded_style_shows_from_the_next_frame_on_and_fades_in(shelf: Shelf) -> None:
    """First pixels in one frame; then the weights go by time, from the last frame of the old style on."""
    clock = Clock()
    with switcher(shelf, preload=["second"], clock=clock) as made:
        loaded(made, shelf, 2)
        shown = [value(made)]
        made.want(SECOND)
        for _ in range(4):
            clock.now += FADE_SECONDS / 3
            shown.append(value(made))
        assert made.shown == SECOND
    assert shown == pytest.approx([155, 120, 85, 50, 50], abs=1)


def test_a_change_in_the_middle_of_a_fade_fades_from_what_is_shown(shelf: Shelf) -> None:
    """Nothing jumps when a key is pressed twice."""
    clock = Clock()
    with switcher(shelf, preload=["second"], clock=clock) as made:
        loaded(made, shelf, 2)
        value(made)
        made.want(SECOND)
        clock.now += FADE_SECONDS / 3
        assert value(made) == pytest.approx(120, abs=1)
        made.want(LOOK)
        clock.now += FADE_SECONDS / 3
        assert value(made) == pytest.approx(120 + (155 - 120) / 3, abs=1)


def test_frames_go_on_in_the_old_style_while_another_one_is_loaded(shelf: Shelf) -> None:
    """Loading is done beside; the first frame after it has the new style."""
    with switcher(shelf, clock=Clock()) as made:
        value(made)
        shelf.may_open.clear()
        made.want(SECOND)
        assert [value(made) for _ in range(5)] == [155] * 5
        assert (made.shown.style, made.wanted.style, made.loading) == ("first", "second", "second")
        shelf.may_open.set()
        until(lambda: value(made) is not None and made.shown.style == "second")
        assert made.loading is None


def test_a_style_that_cannot_be_loaded_is_said_so_and_the_old_one_stays(shelf: Shelf) -> None:
    """A broken file ends no live run; asked for again, it is tried again."""
    said: list[str] = []
    shelf.fails["second"] = StyleError("it is broken")
    with switcher(shelf, say=said.append) as made:
        value(made)
        for attempt in (1, 2):
            made.want(SECOND)
            value(made)
            until(lambda count=attempt: len(said) == count)  # type: ignore[misc]
            assert made.wanted == LOOK
            until(lambda: shelf.opened.count("second") == len(said))
            value(made)
    assert said == ["second: it is broken"] * 2


def test_a_bug_while_loading_reaches_the_painting_thread(shelf: Shelf) -> None:
    """What isn't the user's to mend isn't hidden in a thread."""
    shelf.fails["second"] = ZeroDivisionError("a bug")
    with switcher(shelf) as made:
        value(made)
        made.want(SECOND)
        with pytest.raises(ZeroDivisionError):
            until(lambda: value(made) < 0)


def test_the_first_style_must_load(shelf: Shelf) -> None:
    """Without it there is nothing to show."""
    shelf.fails["first"] = EngineError("nothing here can run it")
    with pytest.raises(EngineError), switcher(shelf):
        pass


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes of the engines that were loaded."""
    sizes: list[tuple[int, int]] = []
    whole = painter_module.open_engine

    def counted(style: Style, size: tuple[int, int], **options: object) -> object:
        sizes.append(size)
        return whole(style, size, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(painter_module, "open_engine", counted)
    return sizes


@pytest.mark.parametrize("style", ["first", "second"])
def test_strength_changes_without_loading_anything(shelf: Shelf, engines: list[tuple[int, int]], style: str) -> None:
    """The engine is shared, whether strength is an input of the net or a blend."""
    clock = Clock()
    with switcher(shelf, look=replace(LOOK, style=style), clock=clock) as made:
        full = value(made)
        made.want(replace(LOOK, style=style, strength=0.5))
        clock.now += 1.0
        assert value(made) == pytest.approx((full + 100) / 2, abs=1)
        assert made.shown.strength == 0.5
    assert len(engines) == 1


def test_going_to_and_fro_between_settings_loads_each_once(shelf: Shelf, engines: list[tuple[int, int]]) -> None:
    """The controller may go up and down without an engine being compiled each time."""
    with switcher(shelf) as made:
        for _ in range(3):
            for work_size in (20, 16, None):
                look = replace(LOOK, setting=replace(SETTING, work_size=work_size))
                made.want(look)
                until(lambda look=look: value(made) is not None and made.shown == look)  # type: ignore[misc]
    assert len(engines) == 3


def test_a_loaded_style_shows_at_once_with_another_setting_than_it_was_loaded_for(shelf: Shelf) -> None:
    """Pressing a key gives the style on the next frame, and its setting when that is ready."""
    wanted = replace(SECOND, setting=replace(SETTING, work_size=16))
    with switcher(shelf, preload=["second"]) as made:
        until(lambda: len(shelf.opened) == 2)
        made.want(SECOND)
        until(lambda: value(made) is not None and made.shown == SECOND)
        made.want(LOOK)
        value(made)
        made.want(wanted)
        value(made)
        assert made.shown.style == "second"
        until(lambda: value(made) is not None and made.shown == wanted)


def test_paintings_keep_the_size_of_the_source(shelf: Shelf) -> None:
    """A camera that comes back with another mode doesn't change what sinks get."""
    with switcher(shelf) as made:
        small = replace(gray(100), pixels=np.full((10, 14, 3), 100, np.uint8))
        assert made.paint(small).pixels.shape == (INFO.height, INFO.width, 3)


def test_reset_forgets_what_the_style_remembers(shelf: Shelf) -> None:
    """After a change of source, a style with a memory doesn't show what was there before."""
    with switcher(shelf, look=replace(LOOK, style="late")) as made:
        value(made, 100)
        assert value(made, 200) == 100
        made.reset()
        assert value(made, 50) == 0


@pytest.mark.parametrize("work_size", [None, 48])
def test_painting_one_frame_in_two_carries_the_others_without_delay(shelf: Shelf, work_size: int | None) -> None:
    """Each frame in gives one frame out, at once, with its own time; half of them are painted."""
    info = SourceInfo(96, 64, INFO.frame_rate, INFO.time_base)
    picture = nets.photograph(64, 96)
    look = replace(LOOK, setting=replace(SETTING, paint_every=2, work_size=work_size))
    with switcher(shelf, look=look, info=info) as made:
        frames = [replace(gray(0), pixels=picture, pts=number) for number in range(6)]
        painted = [made.paint(frame) for frame in frames]
        assert [frame.pts for frame in painted] == list(range(6))
        if work_size is None:
            assert max(nets.worst(frame.pixels, 255 - picture) for frame in painted) <= 1
        made.reset()
        assert made.paint(frames[0]).pixels.shape == picture.shape


def test_a_style_with_a_memory_paints_each_frame_whatever_the_setting_says(shelf: Shelf) -> None:
    """It must see each of them; the controller needn't know that."""
    look = replace(LOOK, style="late", setting=replace(SETTING, paint_every=3))
    with switcher(shelf, look=look) as made:
        assert [value(made, light) for light in (10, 20, 30, 40)] == [0, 10, 20, 30]
