"""Content pictures for training: folders in, random crops out, the same crops for the same seed and step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..errors import TrainingError

_TRIES = 100
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


def load_picture(path: Path) -> Image.Image:
    """A picture as 8-bit RGB, turned as its EXIF tag says.

    Raises:
        TrainingError: the file isn't a picture that Pillow can read.
    """
    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise TrainingError(f"{path} can't be read as a picture") from error


def to_tensor(picture: Image.Image) -> Tensor:
    """RGB picture to float32 3×H×W in [0, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def resize_short_side(picture: Image.Image, side: int) -> Image.Image:
    """The picture scaled so that its short side has ``side`` pixels (Lanczos)."""
    scale = side / min(picture.size)
    size = (max(side, round(picture.width * scale)), max(side, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class Content:
    """The pictures that training looks at."""

    files: tuple[Path, ...]
    """Readable pictures, in sorted order."""
    skipped: tuple[Path, ...]
    """Files with a picture's name that can't be read as one."""


def find_content(folders: Sequence[Path], exclude: Sequence[str] = ()) -> Content:
    """Every picture under the folders, recursively; names matching an ``exclude`` pattern are left out.

    Raises:
        TrainingError: a folder is missing, or there is no readable picture in any.
    """
    good: list[Path] = []
    bad: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise TrainingError(f"no such folder of pictures: {folder}")
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in _SUFFIXES or any(fnmatch(path.name, pattern) for pattern in exclude):
                continue
            try:
                with Image.open(path) as picture:
                    picture.verify()
                good.append(path)
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
                bad.append(path)
    if not good:
        names = ", ".join(map(str, folders))
        raise TrainingError(f"no readable pictures in {names} ({len(bad)} files could not be read)")
    return Content(tuple(good), tuple(bad))


class Crops:
    """An endless, seeded stream of batches of random crops, read ahead by one thread.

    Args:
        content: the pictures.
        size: side of the square crops in pixels.
        batch: pictures a batch.
        seed: with the step, fixes every crop: a resumed run sees what an uninterrupted one would have seen.
    """

    def __init__(self, content: Content, *, size: int, batch: int, seed: int) -> None:
        self._content, self._size, self._batch, self._seed = content, size, batch, seed
        self.broken: set[Path] = set()
        """Pictures that began well but could not be decoded to their end; others were drawn in their place."""

    def batch_at(self, step: int) -> Tensor:
        """The batch of one step: float32 N×3×size×size in [0, 1]."""
        random = np.random.default_rng((self._seed, step))
        return torch.stack([self._crop(random) for _ in range(self._batch)])

    def _crop(self, random: np.random.Generator) -> Tensor:
        picture = self._draw(random)
        side = round(self._size * random.uniform(1.0, 1.25))
        picture = resize_short_side(picture, side)
        x = int(random.integers(picture.width - self._size + 1))
        y = int(random.integers(picture.height - self._size + 1))
        picture = picture.crop((x, y, x + self._size, y + self._size))
        if random.random() < 0.5:
            picture = ImageOps.mirror(picture)
        return to_tensor(picture)

    def _draw(self, random: np.random.Generator) -> Image.Image:
        for _ in range(_TRIES):
            path = self._content.files[random.integers(len(self._content.files))]
            try:
                return load_picture(path)
            except TrainingError:
                self.broken.add(path)
        raise TrainingError(f"{len(self.broken)} pictures can't be decoded, among them {path}: leave them out")

    def batches(self, first_step: int, last_step: int) -> Generator[Tensor, None, None]:
        """The batches of steps ``first_step`` to ``last_step`` - 1; reading runs two batches ahead."""
        ready: queue.Queue[Tensor | BaseException] = queue.Queue(maxsize=2)
        stop = threading.Event()

        def put(item: Tensor | BaseException) -> None:
            while not stop.is_set():
                try:
                    ready.put(item, timeout=0.1)
                    return
                except queue.Full:
                    continue

        def read() -> None:
            try:
                for step in range(first_step, last_step):
                    if stop.is_set():
                        return
                    put(self.batch_at(step))
            except BaseException as error:  # noqa: BLE001 - handed to the training thread, which raises it
                put(error)

        reader = threading.Thread(target=read, name="allaprima-crops", daemon=True)
        reader.start()
        try:
            for _ in range(first_step, last_step):
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            reader.join()
