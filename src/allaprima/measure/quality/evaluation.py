"""The protocol: how well and how steadily styles paint, each with coherence off and on, in one function."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ...errors import AllaprimaError, MissingExtraError, SourceError, TrainingError, UsageError
from ...failure import Failure
from ...frame import Frame, Pixels, SourceInfo
from ...stylizer import DEFAULT_COHERENCE, Stylizer
from ..machine import describe_machine
from ..report.page import ReportPicture
from .flicker import BORDER, PAN_FRAMES, WARM_UP, noise_gain, shift_error
from .image_quality import blob_count, grid_energy, sharpness, ssim
from .material import CLIP_FRAMES, CLIP_SIZE, PICTURE_SIZE, Material
from .motion import check_size_kept
from .sequences import measure_stability
from .warping import WarpError

if TYPE_CHECKING:
    from .perceptual import Painting, PerceptualMeter

PANS = ("1", "2", "2.6", "stride")
SIGMAS = ("1", "2", "4")
SEED = 0
_TIMING_ROUNDS = 8
_CLIP_INFO = SourceInfo(*CLIP_SIZE, Fraction(24), Fraction(1, 24))
_DIFFERENCE_GAIN = 4

DEFINITIONS = {
    "style": "relative Gram distance |G(y)-G(s)|²/|G(s)|² at VGG16 relu1_2, 2_2, 3_3, 4_3, the painting at 512 px short"
    " side; median over the pictures of the mean over the layers",
    "style_score": "(d - d_own)/(d_untouched - d_own), d_own being the painting's own 512×384 crops; median",
    "content": "relative feature distance at VGG16 relu3_3 between painting and picture; median",
    "ssim": "structural similarity of luminance between painting and picture; median",
    "shift": "mean absolute difference of 255 between neighboring outputs of a still picture that is panned, the pan"
    " undone; median over the flicker pictures; the floor is what the resampling costs by itself",
    "noise": "frame-to-frame change of the output over that of the input under Gaussian noise of that sigma (of 255);"
    " median over the flicker pictures",
    "warp": "mean absolute difference of 255 between neighboring outputs along optical flow of the input (DIS medium,"
    " full size, cubic), where forward and backward flow agree (Sundaram et al. 2010); mean over pairs, then clips;"
    " above: less the untouched clips' own; long: against the first frame of the shot",
    "e_stab": "sqrt(mean over pairs of (1/HW) sum_p M sum_c (O_t - W(O_t-1))²), RGB 0-1, divided by all pixels and not"
    " by 3, along true flow; mean over the built-in scenes, other sequences singly",
    "sharpness": "mean absolute Laplacian of the output's luminance, of 255; mean over the frames of the clips",
    "grid": "RMS amplitude of 255 of what repeats with the stride, in flat areas of the pictures; median",
    "blobs": "white bubbles a picture that the untouched one doesn't have; mean",
    "milliseconds": f"a frame of {CLIP_SIZE[0]}×{CLIP_SIZE[1]} through the stylizer, all rows in turn; median",
    "spread": "75th less 25th percentile",
    "warm_up": "of panned and noisy pictures, the frames before the first pair that counts; clips and sequences count"
    " from their first pair",
}


@dataclass(frozen=True)
class Subject:
    """A style to evaluate."""

    name: str
    stylizer: Callable[[float], Stylizer]
    """Coherence, 0 to 1, to a stylizer that has seen nothing yet."""
    stride: int
    """The pan, in pixels, under which its strokes should ride along."""
    painting: Pixels | None = None
    """The style picture, uint8 H×W×3 RGB of any size; None where there is none, and style isn't measured."""
    why_no_painting: str = "no style picture was named"
    against: bool = False
    """A peer, for comparison."""
    threads: int = 0
    """Of its engine; 0 takes all cores."""
    plain: bool = False
    """It is measured with coherence off alone: the untouched clip, which coherence would change."""


@dataclass
class Row:
    """What was measured of one style at one coherence; None and missing names were not measured."""

    name: str
    coherence: float
    default: bool
    against: bool
    stride: int
    threads: int
    placement: str = ""
    style: float | None = None
    style_score: float | None = None
    style_layers: dict[str, dict[str, float | None]] = field(default_factory=dict)
    content: float | None = None
    content_spread: float | None = None
    ssim: float | None = None
    ssim_spread: float | None = None
    shift: dict[str, float] = field(default_factory=dict)
    shift_floor: dict[str, float] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)
    warp: float | None = None
    warp_untouched: float | None = None
    warp_above: float | None = None
    warp_long: float | None = None
    warp_long_untouched: float | None = None
    valid_fraction: float | None = None
    clips: dict[str, dict[str, Any]] = field(default_factory=dict)
    e_stab: float | None = None
    e_stab_untouched: float | None = None
    sequences: dict[str, dict[str, Any]] = field(default_factory=dict)
    sharpness: float | None = None
    sharpness_untouched: float | None = None
    grid: float | None = None
    blobs: float | None = None
    milliseconds: float | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class Evaluation:
    """All rows of one run."""

    machine: dict[str, Any]
    protocol: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    pictures: list[ReportPicture] = field(default_factory=list)
    """A painted picture and the worst frame of every row."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the pictures."""
        return {
            "kind": "evaluate",
            "machine": self.machine,
            "protocol": self.protocol,
            "rows": [asdict(row) for row in self.rows],
            "failures": [failure.to_dict() for failure in self.failures],
        }


def evaluate(
    subjects: Sequence[Subject],
    material: Material,
    *,
    vgg: str | None = None,
    coherences: Sequence[float] = (0.0, DEFAULT_COHERENCE),
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    on_row: Callable[[Evaluation], None] = lambda evaluation: None,
) -> Evaluation:
    """Measure every style, as a rule with coherence off and at its default, through the stylizer that ``video`` uses.

    What can't be measured becomes a failure or a note, and the rest goes on.

    Args:
        subjects: the styles.
        material: what they paint.
        vgg: weights of the loss network; see :func:`~allaprima.train.vgg.load_weights`.
        coherences: settings of the dial, 0 to 1, a row for each.
        on_progress: called with what comes next, how many rows are done, and how many there are.
        on_row: called with what is known so far after every row; milliseconds come at the end.
    """
    evaluation = Evaluation(describe_machine(), _protocol(material), failures=list(material.failures))
    meter, why_no_meter = _open_meter(vgg)
    dials = [(0.0,) if subject.plain else tuple(dict.fromkeys(coherences)) for subject in subjects]
    timed: list[tuple[Row, Stylizer]] = []
    for index, subject in enumerate(subjects):
        painting = _painting(meter, subject)
        for turn, dial in enumerate(dials[index]):
            row = Row(subject.name, dial, dial == DEFAULT_COHERENCE, subject.against, subject.stride, subject.threads)
            done = sum(map(len, dials[:index])) + turn
            on_progress(f"{subject.name}, coherence {dial:g}", done, sum(map(len, dials)))
            if meter is None:
                row.notes.append(f"style and content: {why_no_meter}")
            elif painting is None:
                row.notes.append(f"style: {subject.why_no_painting}")
            try:
                stylizer = subject.stylizer(dial)
                row.placement = stylizer.prepare(_CLIP_INFO)
                _Session(row, stylizer, evaluation).measure(material, meter, painting)
            except AllaprimaError as error:
                evaluation.failures.append(Failure(subject.name, error))
                break
            evaluation.rows.append(row)
            timed.append((row, stylizer))
            on_row(evaluation)
    _time_in_turn(timed, next(iter(material.clips.values()), []))
    return evaluation


def _protocol(material: Material) -> dict[str, Any]:
    return {
        "pictures": {"size": list(PICTURE_SIZE), "names": list(material.pictures)},
        "flicker_pictures": list(material.flicker_pictures()),
        "clips": {name: len(frames) for name, frames in material.clips.items()},
        "clip_size": list(CLIP_SIZE),
        "clip_frames": CLIP_FRAMES,
        "sequences": [sequence.name for sequence in material.sequences],
        "pans": list(PANS),
        "sigmas": list(SIGMAS),
        "pan_frames": PAN_FRAMES,
        "noise_frames": PAN_FRAMES,
        "warm_up": WARM_UP,
        "border": BORDER,
        "seed": SEED,
        "definitions": DEFINITIONS,
    }


def _open_meter(vgg: str | None) -> tuple[PerceptualMeter | None, str]:
    """The perceptual instrument, or why there is none: the other figures do without it."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return None, str(MissingExtraError("this figure", "train"))
    from .perceptual import PerceptualMeter

    try:
        return PerceptualMeter(vgg), ""
    except TrainingError as error:
        if vgg is not None:
            raise
        return None, str(error)


def _painting(meter: PerceptualMeter | None, subject: Subject) -> Painting | None:
    if meter is None or subject.painting is None:
        return None
    from .perceptual import resize_painting

    return meter.painting(resize_painting(subject.painting))


class _Session:
    """Fills one row."""

    def __init__(self, row: Row, stylizer: Stylizer, evaluation: Evaluation) -> None:
        self._row, self._stylizer, self._evaluation = row, stylizer, evaluation
        self._worst: tuple[float, ReportPicture] | None = None

    def measure(self, material: Material, meter: PerceptualMeter | None, painting: Painting | None) -> None:
        if material.pictures:
            self._measure_pictures(material.pictures, meter, painting)
            self._measure_flicker(list(material.flicker_pictures().values()))
        else:
            self._row.notes.append("style, content, SSIM, shift, noise, grid and blobs: there are no pictures")
        if material.clips:
            self._measure_clips(material.clips)
        else:
            self._row.notes.append("warp and sharpness: there are no clips")
        self._measure_sequences(material)
        if self._worst is not None:
            self._evaluation.pictures.append(self._worst[1])

    def _paint(self, pixels: Pixels) -> Pixels:
        painted = self._stylizer.stylize(Frame(pixels)).pixels
        check_size_kept(pixels, painted)
        return painted

    def _measure_pictures(
        self, pictures: dict[str, Pixels], meter: PerceptualMeter | None, painting: Painting | None
    ) -> None:
        row = self._row
        perceptual, likeness, grids, blobs = [], [], [], []
        for name, picture in sorted(pictures.items(), key=lambda item: item[1].shape):
            self._stylizer.reset()
            painted = self._paint(picture)
            likeness.append(ssim(picture, painted))
            blobs.append(blob_count(painted, picture))
            grid = grid_energy(painted, picture, row.stride)
            if grid is not None:
                grids.append(grid)
            if meter is not None:
                perceptual.append(meter.measure(name, picture, painted, painting))
            if name == next(iter(pictures)):
                shown = np.hstack([picture, painted])
                self._evaluation.pictures.append(ReportPicture(self._title(), f"{name}, untouched and painted", shown))
        row.ssim, row.ssim_spread = _median_and_spread(likeness)
        row.blobs = float(np.mean(blobs))
        row.grid = _median_and_spread(grids)[0]
        row.content, row.content_spread = _median_and_spread(found.content for found in perceptual)
        if painting is not None:
            row.style = _median_and_spread(found.distance for found in perceptual)[0]
            row.style_score = _median_and_spread(found.score for found in perceptual)[0]
            for layer in painting.grams:
                median, spread = _median_and_spread((found.layers or {}).get(layer) for found in perceptual)
                row.style_layers[layer] = {"median": median, "spread": spread}

    def _measure_flicker(self, pictures: list[Pixels]) -> None:
        row = self._row
        for pan in PANS:
            distance = float(row.stride if pan == "stride" else pan)
            try:
                results = [shift_error(self._fresh(), picture, distance) for picture in pictures]
            except UsageError as error:  # a stride so large that it leaves the picture
                row.notes.append(f"shift by {pan}: {error}")
                continue
            row.shift[pan] = float(np.median([result.error for result in results]))
            row.shift_floor[pan] = float(np.median([result.floor for result in results]))
        for sigma in SIGMAS:
            gains = [noise_gain(self._fresh(), picture, float(sigma), SEED) for picture in pictures]
            row.noise[sigma] = float(np.median(gains))

    def _fresh(self) -> Callable[[Pixels], Pixels]:
        self._stylizer.reset()
        return self._paint

    def _measure_clips(self, clips: dict[str, list[Frame]]) -> None:
        row = self._row
        edges: list[float] = []
        edges_untouched: list[float] = []
        for name, frames in clips.items():
            self._stylizer.reset()
            painted = [self._paint(frame.pixels) for frame in frames]
            found = [sharpness(pixels) for pixels in painted]
            edges += found
            edges_untouched += [sharpness(frame.pixels) for frame in frames]
            meter = WarpError()
            try:
                for frame, pixels in zip(frames, painted, strict=True):
                    meter.add(frame.pixels, pixels)
                result = meter.result()
            except SourceError as error:
                self._fail(name, error)
                continue
            means = {"sharpness": float(np.mean(found)), "sharpness_last": found[-1]}
            row.clips[name] = {**result.to_dict(), **means}
            self._keep_worst(name, frames, painted, result.worst, result.excess)
        row.sharpness, row.sharpness_untouched = float(np.mean(edges)), float(np.mean(edges_untouched))
        row.warp, row.warp_untouched = _mean_of(row.clips, "warp"), _mean_of(row.clips, "untouched")
        if row.warp is not None and row.warp_untouched is not None:
            row.warp_above = row.warp - row.warp_untouched
        row.warp_long, row.warp_long_untouched = _mean_of(row.clips, "long"), _mean_of(row.clips, "long_untouched")
        row.valid_fraction = _mean_of(row.clips, "valid_fraction")

    def _keep_worst(self, clip: str, frames: list[Frame], painted: list[Pixels], index: int, excess: float) -> None:
        """Keep the frame that redraws most beyond what the clip itself changes: before, after, and their difference."""
        if self._worst is not None and excess <= self._worst[0]:
            return
        before, after = painted[index - 1], painted[index]
        difference = cv2.convertScaleAbs(cv2.absdiff(before, after), alpha=_DIFFERENCE_GAIN)
        caption = (
            f"worst frame: {clip}, frame {index}, {excess:.1f} above the clip's own; the frame before, this one, and"
            f" their difference ×{_DIFFERENCE_GAIN} (not warped)"
        )
        self._worst = excess, ReportPicture(self._title(), caption, np.hstack([before, after, difference]))

    def _measure_sequences(self, material: Material) -> None:
        row = self._row
        for sequence in material.sequences:
            self._stylizer.reset()
            try:
                result = measure_stability(self._stylizer.stylize, sequence)
            except SourceError as error:
                self._fail(sequence.name, error)
                continue
            row.sequences[sequence.name] = result.to_dict()
        scenes = {name: found for name, found in row.sequences.items() if name.startswith("scene:")}
        row.e_stab, row.e_stab_untouched = _mean_of(scenes, "e_stab"), _mean_of(scenes, "untouched")

    def _fail(self, name: str, error: AllaprimaError) -> None:
        """Once a batch, however many rows meet it."""
        known = {(failure.name, str(failure.error)) for failure in self._evaluation.failures}
        if (name, str(error)) not in known:
            self._evaluation.failures.append(Failure(name, error))

    def _title(self) -> str:
        return f"{self._row.name}, coherence {self._row.coherence:g}"


def _time_in_turn(rows: list[tuple[Row, Stylizer]], frames: list[Frame]) -> None:
    """Median milliseconds a frame of every row: one frame each, in turn, round by round, after two warm-up rounds."""
    if not frames:
        return
    times: list[list[float]] = [[] for _ in rows]
    for _, stylizer in rows:
        stylizer.reset()
    for turn in range(_TIMING_ROUNDS + 2):
        frame = frames[turn % len(frames)]
        for taken, (_, stylizer) in zip(times, rows, strict=True):
            started = time.perf_counter()
            stylizer.stylize(frame)
            taken.append(time.perf_counter() - started)
    for taken, (row, _) in zip(times, rows, strict=True):
        row.milliseconds = float(np.median(taken[2:]) * 1e3)


def _median_and_spread(values: Iterable[float | None]) -> tuple[float | None, float | None]:
    found = [value for value in values if value is not None]
    if not found:
        return None, None
    low, middle, high = np.percentile(found, (25, 50, 75))
    return float(middle), float(high - low)


def _mean_of(results: dict[str, dict[str, Any]], name: str) -> float | None:
    found = [result[name] for result in results.values() if result[name] is not None]
    return float(np.mean(found)) if found else None
