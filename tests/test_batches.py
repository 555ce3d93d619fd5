"""Batches: fixed by seed and step, shared out among processes, read ahead by a thread that ends."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from PIL import Image

from allaprima.errors import TrainingError
from allaprima.train.batches import Batch, Batches
from allaprima.train.content import Content, StillMotion, open_content


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return folder(tmp_path)


def folder(path: Path, still_motion: StillMotion | None = None) -> Content:
    for seed in range(4):
        pixels = np.random.default_rng(seed).integers(0, 256, (70, 90, 3), np.uint8)
        Image.fromarray(pixels).save(path / f"{seed}.png")
    return open_content([str(path)], crop=64, cache=path, still_motion=still_motion)


def test_batches_are_fixed_by_seed_and_step(content: Content) -> None:
    """A resumed run sees what an uninterrupted one would have seen; samples and seeds differ from each other."""
    batches = Batches(content, batch=3, seed=7)
    first = batches.at(5)
    assert first.image.shape == (3, 3, 64, 64)
    assert first.motion is None
    assert first.image.min() >= 0
    assert 0.9 < first.image.max() <= 1
    again = Batches(content, batch=3, seed=7).at(5)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.seeds, again.seeds)
    for other in (batches.at(6), Batches(content, batch=3, seed=8).at(5)):
        assert not torch.equal(first.image, other.image)
        assert not set(first.seeds.tolist()) & set(other.seeds.tolist())
    assert first.seeds.dtype == torch.int64
    assert len(set(first.seeds.tolist())) == 3
    assert (first.seeds >= 0).all()


def test_processes_share_the_batch_of_one(tmp_path: Path) -> None:
    """Two processes, or four, together see the very samples of one, in order."""
    content = folder(tmp_path, StillMotion(3, 0.05))
    whole = Batches(content, batch=4, seed=1).at(2)
    for world in (2, 4):
        shares = [Batches(content, batch=4, seed=1, rank=rank, world=world).at(2) for rank in range(world)]
        for part in (
            lambda batch: batch.image,
            lambda batch: batch.seeds,
            lambda batch: batch.motion.before,
            lambda batch: batch.motion.flow,
            lambda batch: batch.motion.valid,
        ):
            assert torch.equal(torch.cat([part(share) for share in shares]), part(whole))
    with pytest.raises(TrainingError, match="batch of 4 can't be shared out among 3 processes"):
        Batches(content, batch=4, seed=1, world=3)


def test_pairs_are_stacked(tmp_path: Path) -> None:
    """Methods on pairs get one motion for the batch."""
    motion = Batches(folder(tmp_path, StillMotion(3, 0.05)), batch=2, seed=0).at(0).motion
    assert motion is not None
    assert motion.before.shape == (2, 3, 64, 64)
    assert motion.flow.shape == (2, 2, 64, 64)
    assert motion.valid.shape == (2, 1, 64, 64)
    assert {plane.dtype for plane in (motion.before, motion.flow, motion.valid)} == {torch.float32}


def test_reading_ahead_yields_the_same_batches(content: Content) -> None:
    """The stream from step 2 on is steps 2, 3, 4, and then ends."""
    batches = Batches(content, batch=1, seed=0)
    streamed = list(batches.stream(2, 5))
    assert len(streamed) == 3
    for step, batch in zip(range(2, 5), streamed, strict=True):
        assert torch.equal(batch.image, batches.at(step).image)


def test_a_reader_left_early_ends_its_thread(content: Content) -> None:
    """Stopping in the middle holds no thread (the fixture looks)."""
    stream = Batches(content, batch=1, seed=0).stream(0, 1000)
    next(stream)
    stream.close()


def test_a_fault_in_the_reader_reaches_the_caller(content: Content, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in the thread is raised where the batches are used."""

    def fail(self: Batches, step: int) -> Batch:
        raise MemoryError("too much")

    monkeypatch.setattr(Batches, "at", fail)
    with pytest.raises(MemoryError, match="too much"):
        list(Batches(content, batch=1, seed=0).stream(0, 3))
