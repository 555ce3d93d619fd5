"""What a run leaves to look at: previews as files; losses, rates and previews for TensorBoard where that is there."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

_FRAME_MILLISECONDS = 80


class Logbook:
    """Writes ``preview-STEP.png`` and ``preview-STEP.gif``, and TensorBoard's files where that is installed.

    Args:
        folder: of the run.
        say: told where TensorBoard isn't installed.

    Raises:
        OSError: the folder can't be written to.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._writer: Any = None
        try:
            from tensorboard.compat.proto.summary_pb2 import Summary
            from torch.utils.tensorboard import FileWriter
        except ImportError:
            say("TensorBoard isn't installed, so losses are not logged: pip install 'allaprima[train]'")
        else:
            self._summary = Summary
            self._writer = FileWriter(str(folder / "tensorboard"))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers by name."""
        if self._writer is not None:
            self._log(step, *(self._summary.Value(tag=tag, simple_value=value) for tag, value in values.items()))

    def preview(self, step: int, clip: Tensor) -> None:
        """Keep a painted clip, float T×3×H×W in [0, 1]: its first frame as a picture, all of it animated.

        Raises:
            OSError: it can't be written.
        """
        pixels = (clip.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        frames = [Image.fromarray(np.ascontiguousarray(frame)) for frame in pixels]
        encoded = {"preview.png": _png(frames[0]), "preview.gif": _gif(frames)}
        for name, data in encoded.items():
            path = self._folder / name
            path.with_stem(f"{path.stem}-{step:06d}").write_bytes(data)
        if self._writer is not None:
            size = {"height": frames[0].height, "width": frames[0].width, "colorspace": 3}
            self._log(
                step,
                *(
                    self._summary.Value(tag=tag, image=self._summary.Image(encoded_image_string=encoded[name], **size))
                    for tag, name in (("preview", "preview.png"), ("clip", "preview.gif"))
                ),
            )

    def close(self) -> None:
        """Write out what is still in memory."""
        if self._writer is not None:
            self._writer.close()

    def _log(self, step: int, *values: Any) -> None:
        self._writer.add_summary(self._summary(value=values), step)


def _png(frame: Image.Image) -> bytes:
    written = io.BytesIO()
    frame.save(written, "PNG")
    return written.getvalue()


def _gif(frames: Sequence[Image.Image]) -> bytes:
    """One palette and no dithering, so that nothing flickers that doesn't in the painting."""
    palette = frames[0].quantize(256)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    written = io.BytesIO()
    first.save(written, "GIF", save_all=True, append_images=rest, duration=_FRAME_MILLISECONDS, loop=0)
    return written.getvalue()
