"""Batches for training: the same for the same seed and step, whatever the number of processes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import TrainingError
from .content import Content, Motion


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What a step trains on."""

    image: Tensor
    """float32 N×3×H×W in [0, 1], H and W the recipe's crop."""
    seeds: Tensor
    """int64 N, on the CPU: what a method draws at random for a sample, it draws from the sample's seed, so that it
    doesn't matter in which process the sample is."""
    motion: Motion | None = None
    """For methods that train on pairs."""


class Batches:
    """An endless, seeded stream of batches of random crops, read ahead by one thread.

    All that is random in a sample comes from the seed, the step and the sample's place in the batch of all processes.

    Args:
        content: where samples come from; it knows the size of the crops.
        batch: samples a step, of all processes together.
        seed: 0 or above.
        rank: of this process, from 0.
        world: how many processes there are.

    Raises:
        TrainingError: the batch can't be shared out evenly.
    """

    def __init__(self, content: Content, *, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if batch % world:
            raise TrainingError(f"a batch of {batch} can't be shared out among {world} processes: take a multiple")
        self.content = content
        share = batch // world
        self._places, self._seed = range(rank * share, (rank + 1) * share), seed

    def at(self, step: int) -> Batch:
        """This process's share of the batch of one step, on the CPU."""
        images, motions, seeds = [], [], []
        for place in self._places:
            root = np.random.SeedSequence((self._seed, step, place))
            for_content, for_method = root.spawn(2)
            image, motion = self.content.sample(np.random.default_rng(for_content))
            images.append(image)
            motions += [] if motion is None else [motion]
            seeds.append(int(for_method.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        return Batch(torch.stack(images), torch.tensor(seeds), _stack(motions) if motions else None)

    def stream(self, first: int, last: int) -> Generator[Batch, None, None]:
        """The batches of steps ``first`` to ``last`` - 1; reading runs two batches ahead."""
        ready: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=2)
        stop = threading.Event()

        def put(item: Batch | BaseException) -> None:
            while not stop.is_set():
                try:
                    ready.put(item, timeout=0.1)
                    return
                except queue.Full:
                    continue

        def read() -> None:
            try:
                for step in range(first, last):
                    if stop.is_set():
                        return
                    put(self.at(step))
            except BaseException as error:  # noqa: BLE001 - handed to the training thread, which raises it
                put(error)

        reader = threading.Thread(target=read, name="allaprima-batches", daemon=True)
        reader.start()
        try:
            for _ in range(first, last):
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            reader.join()


def _stack(motions: list[Motion]) -> Motion:
    return Motion(
        torch.stack([motion.before for motion in motions]),
        torch.stack([motion.flow for motion in motions]),
        torch.stack([motion.valid for motion in motions]),
    )
