"""Several processes train what one would have trained."""

# ruff: noqa: E402
from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from trainfakes import RECIPES, NoiseBatches, make_trainer

from allaprima.train import trainer as loop
from allaprima.train.checkpoint import load_checkpoint
from allaprima.train.recipe import Recipe

STEPS = 5
STOP = 2
NAMES = ("johnson, batch", "reconet, frn", "realtime")


def recipe_of(name: str) -> Recipe:
    return replace(RECIPES[name], steps=STEPS)


def train_all(folder: Path, rank: int) -> None:
    """Every method's run; then one that only the last process is told to stop, and one whose loss breaks in it."""
    torch.set_num_threads(1)
    sys.modules["tensorboard.compat.proto.summary_pb2"] = None  # type: ignore[assignment]  # slow to import
    loop.Batches = NoiseBatches  # type: ignore[misc,assignment]
    for name in NAMES:
        said: list[str] = []
        result = make_trainer(folder / name, recipe_of(name), say=said.append).train()
        assert (result.step, bool(said)) == (STEPS, rank == 0), (result.step, said)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return rank == 1 and len(asked) > STOP

    stopped = make_trainer(folder / "stopped", recipe_of("reconet, frn"), stop=stop).train()
    (folder / f"steps-{rank}").write_text(str(stopped.step))
    options: dict[str, Any] = {"minutes": 0.001 if rank else 0.1}
    timed = make_trainer(folder / "timed", replace(recipe_of("reconet, frn"), steps=0), stop=lambda: True, **options)
    (folder / f"timed-{rank}").write_text(str(timed.train().steps))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made, a sample of each batch in each."""
    folder = tmp_path_factory.mktemp("together")
    here = Path(__file__)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(here)]
    environment = os.environ | {"PYTHONPATH": str(here.parent), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, str(folder)], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_equal_one(together: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """After five steps all weights, averages and batch statistics are those of one process with the whole batch."""
    monkeypatch.setattr(loop, "Batches", NoiseBatches)
    start = {key: value.clone() for key, value in make_trainer(tmp_path / "x", recipe_of(name))._state()["net"].items()}
    make_trainer(tmp_path / "alone", recipe_of(name)).train()
    one, two = (load_checkpoint(folder / "checkpoint.pt") for folder in (tmp_path / "alone", together / name))
    for part in ("net", "ema"):
        for key, value in one[part].items():
            torch.testing.assert_close(
                two[part][key], value, atol=1e-4, rtol=1e-5, msg=lambda text, key=key: f"{key}: {text}"
            )
    moved = max(
        float((one["net"][key] - value).abs().max()) for key, value in start.items() if value.is_floating_point()
    )
    assert moved > 1e-3


def test_only_the_first_process_writes(together: Path) -> None:
    """Nothing beside what one process leaves."""
    names = {path.name for path in (together / "realtime").iterdir()}
    assert names == {"checkpoint.pt", "recipe.toml", "preview-000005.png", "preview-000005.gif"}


def test_a_stop_is_agreed_on(together: Path) -> None:
    """Who isn't told stops at the same step, and so do all take the first process's number of steps."""
    assert [(together / f"steps-{rank}").read_text() for rank in range(2)] == [str(STOP)] * 2
    first, second = (int((together / f"timed-{rank}").read_text()) for rank in range(2))
    assert first == second


if __name__ == "__main__":
    train_all(Path(sys.argv[1]), int(os.environ["RANK"]))
