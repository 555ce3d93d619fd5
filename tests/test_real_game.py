"""Real games, started, captured, painted live and recorded by the example."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from allaprima.source import open_source

EXAMPLE = Path(__file__).parent.parent / "examples" / "game" / "paint_game.py"


@pytest.mark.game
@pytest.mark.parametrize("game", ["supertuxkart", "openarena"])
def test_a_game_is_painted_while_it_is_played(game: str, tmp_path: Path) -> None:
    """Protects the whole way: what is recorded moves, and is a painting of the game's size."""
    for program, package in (("Xvfb", "xvfb"), (game, game)):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/games") is None:
            pytest.skip(f"needs {program} (Debian: apt-get install {package})")
    out = tmp_path / "painted.mp4"
    command = [sys.executable, str(EXAMPLE), str(out), "--game", game, "--fps", "10", "--seconds", "12"]
    command += ["--width", "320", "--height", "240"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    with open_source(str(out)) as source:
        assert (source.info.width, source.info.height) == (320, 240)
        frames = [frame.pixels.astype(np.int16) for frame in source.frames()]
    assert len(frames) > 30
    assert np.abs(frames[-1] - frames[0]).mean() > 5
