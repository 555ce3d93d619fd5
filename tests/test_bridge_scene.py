"""The example that sends motion vectors through the bridge: they are exact, and arrive so."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from allaprima.bridge import BridgeWriter, Origin, PixelFormat
from allaprima.bridge.layout import segment_path
from allaprima.measure.quality.warping import WarpError
from allaprima.sources.bridge import BridgeSource

moderngl = pytest.importorskip("moderngl", reason="needs the extra 'dev'")


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example, where OpenGL draws without a screen."""
    try:
        moderngl.create_standalone_context(backend="egl").release()
    except Exception as error:  # noqa: BLE001 - whatever the platform's loader raises
        pytest.skip(f"needs OpenGL through EGL (Debian: apt install libegl1): {error}")
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "examples" / "game")
    return importlib.import_module("moving_scene")


def test_motion_of_the_scene_is_exact_through_the_bridge(scene: ModuleType) -> None:
    """Protects the example and the conventions together: along the motion that arrives, both frames look alike."""
    name = f"test-scene-{os.getpid()}"
    renderer, meter = scene.Renderer(320, 180), WarpError()
    planes = {"motion": scene.MOTION, "depth": True, "pixel_format": PixelFormat.RGBA8, "origin": Origin.BOTTOM}
    with BridgeWriter(name, 320, 180, **planes) as writer, BridgeSource(name, print) as source:
        frames = source.frames()
        for index in range(3):
            for step in (2 * index, 2 * index + 1):  # every other frame is skipped
                shot = renderer.draw(step / 30, max(step - 1, 0) / 30)
                writer.write(shot.pixels, shot.motion if step else None, shot.depth)
            frame = next(frames)
            meter.add(frame.pixels, frame.pixels, frame.motion, frame.mask)
            if index:
                assert frame.motion is not None and np.abs(frame.motion).max() > 4
    result = meter.result()
    assert result.pairs == 2 and result.valid_fraction > 0.8
    assert result.untouched < 3  # along no motion it is some 12, along the opposite one 17
    assert not segment_path(name).exists()
