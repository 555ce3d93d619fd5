"""The style file: one ONNX graph with its card inside, read as bytes and checked before any engine sees it."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, TensorProto, numpy_helper

from .errors import StyleError
from .graph import rename_uses
from .tiling.stride import stride_of

CARD_KEY = "allaprima.card"
MINIMUM_SIDE = 16
"""Shortest side, in pixels, that every style paints."""
_INPUT_NAMES = ("image", "strength", "style", "previous")
_SUFFIX = ".onnx"
_UNSTATED = 0
"""A stride that is yet to be told from the graph."""


@dataclass(frozen=True)
class Card:
    """What a style says of itself; JSON in the file's metadata."""

    title: str
    artist: str = ""
    year: str = ""
    network: str = ""
    stride: int = 1
    """Moving the picture by this many pixels moves the painting along exactly (away from the borders).

    In a file whose card doesn't say, it is told from the graph."""
    inputs: tuple[str, ...] = ("image",)
    parameters: int = 0
    recipe: dict[str, Any] = field(default_factory=dict)
    """The full training configuration, with seed, steps and versions."""
    licenses: dict[str, str] = field(default_factory=dict)
    """Of the style picture, the content, the loss network and the weights."""
    weights_sha256: str = ""
    parent_sha256: str = ""
    """Of the weights that a quantized file was made from."""
    measurements: dict[str, Any] = field(default_factory=dict)
    value_range: int = 1
    """What white is at input and output: 1, or 255 in foreign files."""
    pads: bool = True
    """Whether the graph itself pads to the stride and crops."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Declaration:
    """What the user says of a foreign file that has no card."""

    value_range: int
    """1 where the net works on 0-1, 255 where it works on 0-255."""
    stride: int | None = None
    """Sides must be multiples of this; None: told from the graph, or 1 where that can't be."""


@dataclass(frozen=True, eq=False)
class Style:
    """A checked style, ready for an engine."""

    name: str
    path: Path
    card: Card
    model: ModelProto
    """Input ``image`` float32 N×3×H×W RGB, output N×3×H×W; see :attr:`Card.value_range`."""
    digest: str
    """SHA-256 of the file."""
    fixed_size: tuple[int, int] | None
    """(height, width) where the graph takes no other; None where the size is free."""

    @classmethod
    def open(cls, path_or_name: str | os.PathLike[str], declared: Declaration | None = None) -> Style:
        """Open a bundled style by name, or a style file by path.

        Args:
            path_or_name: ``great-wave``, or ``path/to/file.onnx``.
            declared: what a foreign file without a card expects; refused for files with one.

        Raises:
            StyleError: unknown, unreadable, damaged, or refused (external data, custom operators, functions, no card).
        """
        text = os.fspath(path_or_name)
        path = _find(text)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StyleError(f"can't read style {text}: {error.strerror}") from error
        model = _checked_model(data, text)
        card = _read_card(model, text)
        if card is None:
            if declared is None:
                raise StyleError(
                    f"{text} has no allaprima card: verbs that paint take it as a foreign style with --range 0-1 or"
                    " --range 0-255 (and --stride N where sides must be multiples of N and its graph doesn't tell)"
                )
            stride = declared.stride or _UNSTATED
            card = Card(title=path.stem, stride=stride, value_range=declared.value_range, pads=False)
        elif declared is not None:
            raise StyleError(f"{text} has a card: leave out --range and --stride")
        elif card.weights_sha256 not in ("", weights_digest(model)):
            raise StyleError(f"{text} holds other weights than its card says: copy or export it again")
        card, fixed_size = _match(model, card, text)
        if card.stride == _UNSTATED:
            card = replace(card, stride=1 if fixed_size else stride_of(model) or 1)
        name = path.name.removesuffix(_SUFFIX).removesuffix(".int8")
        return cls(name, path, card, model, hashlib.sha256(data).hexdigest(), fixed_size)

    def quantized(self) -> Style | None:
        """The int8 file of the same name in the same folder, if there is one.

        Raises:
            StyleError: there is one, but it was made from other weights.
        """
        path = self.path.with_name(f"{self.name}.int8{_SUFFIX}")
        if path == self.path:
            return self
        if not path.exists():
            return None
        style = Style.open(path)
        if style.card.parent_sha256 != self.card.weights_sha256:
            raise StyleError(f"{path} was made from other weights than {self.path}: quantize the style again")
        return style


def open_style(path_or_name: str | os.PathLike[str]) -> Style:
    """Open a bundled style by name, or a style file by path; see :meth:`Style.open`."""
    return Style.open(path_or_name)


def bundled_styles() -> list[Path]:
    """The float style files that ship with the package, sorted by name."""
    pack = Path(str(resources.files("allaprima") / "pack"))
    return sorted(path for path in pack.glob(f"*{_SUFFIX}") if not path.name.endswith(f".int8{_SUFFIX}"))


def write_style(path: Path, model: ModelProto, card: Card) -> Style:
    """Write a style file whole or not at all, and open it again.

    The card's ``weights_sha256`` and ``parameters`` are filled in from the graph.

    Raises:
        StyleError: the graph is not a style, or the file can't be written.
    """
    card = replace(card, weights_sha256=weights_digest(model), parameters=_count_parameters(model))
    model = ModelProto.FromString(model.SerializeToString())
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(card.to_dict(), ensure_ascii=False)})
    _match(_checked_model(model.SerializeToString(), str(path)), card, str(path))
    aside = path.with_name(path.name + ".part")
    try:
        aside.write_bytes(model.SerializeToString())
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise StyleError(f"can't write {path}: {error.strerror}") from error
    return Style.open(path)


def weights_digest(model: ModelProto) -> str:
    """SHA-256 over the names, types, shapes and bytes of the floating or quantized weights, in order of name."""
    digest = hashlib.sha256()
    for tensor in sorted(model.graph.initializer, key=lambda tensor: tensor.name):
        values = numpy_helper.to_array(tensor)
        digest.update(f"{tensor.name}:{values.dtype}:{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _count_parameters(model: ModelProto) -> int:
    return sum(
        int(numpy_helper.to_array(tensor).size)
        for tensor in model.graph.initializer
        if tensor.dims and tensor.data_type != TensorProto.INT64
    )


def _find(text: str) -> Path:
    path = Path(text).expanduser()
    if path.suffix == _SUFFIX or os.sep in text:
        if path.is_file():
            return path
        raise StyleError(f"no style file at {text}")
    known = {path.stem: path for path in bundled_styles()}
    if text in known:
        return known[text]
    near = difflib.get_close_matches(text, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"bundled: {', '.join(known)}"
    raise StyleError(f"unknown style '{text}'; {hint}")


def _checked_model(data: bytes, text: str) -> ModelProto:
    try:
        model: ModelProto = ModelProto.FromString(data)
    except DecodeError as error:
        raise StyleError(f"{text} is not an ONNX file") from error
    if not model.graph.node:
        raise StyleError(f"{text} is not an ONNX file, or has an empty graph")
    if model.functions:
        raise StyleError(f"{text} holds ONNX functions, which styles may not: export it without them")
    for domain in sorted({opset.domain for opset in model.opset_import} - {"", "ai.onnx"}):
        raise StyleError(f"{text} uses operators outside the ONNX standard ({domain}): export it without them")
    for graph in _graphs(model.graph):
        for node in graph.node:
            if node.domain not in ("", "ai.onnx"):
                raise StyleError(f"{text} uses a custom operator ({node.domain}::{node.op_type})")
        for tensor in _tensors(graph):
            if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
                raise StyleError(f"{text} keeps weights in other files, which is refused: store them inside the file")
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StyleError(f"{text} is not a valid ONNX graph: {reason}") from error
    return model


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _graphs(inner)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    yield from graph.initializer
    for attribute in attributes:
        yield attribute.t
        yield from attribute.tensors
    for sparse in (
        *graph.sparse_initializer,
        *(attribute.sparse_tensor for attribute in attributes),
        *(sparse for attribute in attributes for sparse in attribute.sparse_tensors),
    ):
        yield from (sparse.values, sparse.indices)


def _read_card(model: ModelProto, text: str) -> Card | None:
    found = [entry.value for entry in model.metadata_props if entry.key == CARD_KEY]
    if not found:
        return None
    try:
        table = json.loads(found[0])
        known = {name: table[name] for name in Card.__dataclass_fields__ if name in table}
        known["inputs"] = tuple(known.get("inputs", ("image",)))
        card = Card(**{"stride": _UNSTATED, **known})
        if not (isinstance(card.stride, int) and known.get("stride", 1) >= 1 and card.value_range in (1, 255)):
            raise ValueError("stride or value_range")
        plain = Card("")
        for name in Card.__dataclass_fields__:
            if type(getattr(card, name)) is not type(getattr(plain, name)):
                raise ValueError(name)
    except (ValueError, TypeError, AttributeError) as error:
        raise StyleError(f"the card of {text} is damaged ({error}): export the style again") from error
    return card


def _match(model: ModelProto, card: Card, text: str) -> tuple[Card, tuple[int, int] | None]:
    """Check inputs and outputs against what engines feed; give a foreign file's picture the name ``image``."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    names = [value.name for value in inputs]
    if len(inputs) == 1 and names != ["image"]:
        _rename(model, names[0], "image")
        names = ["image"]
    for name in names:
        if name not in _INPUT_NAMES and not name.startswith("state."):
            raise StyleError(
                f"{text} has an input '{name}' that no style has: an exported net should take 'image' alone"
            )
    outputs = [value.name for value in model.graph.output]
    for name in names:
        following = f"next.{name.removeprefix('state.')}"
        if name.startswith("state.") and following not in outputs[1:]:
            raise StyleError(f"{text} has an input '{name}' but no output '{following}' after the painting")
    if "image" not in names or not outputs:
        raise StyleError(f"{text} takes no picture ('image') or gives none back")
    for value in (next(value for value in inputs if value.name == "image"), model.graph.output[0]):
        shape = value.type.tensor_type.shape.dim
        if value.type.tensor_type.elem_type != TensorProto.FLOAT or len(shape) != 4 or shape[1].dim_value not in (0, 3):
            raise StyleError(f"{text}: '{value.name}' is not a float32 N×3×H×W picture")
    dims = next(value for value in inputs if value.name == "image").type.tensor_type.shape.dim
    batch, height, width = (dims[axis].dim_value for axis in (0, 2, 3))
    if batch > 1:
        raise StyleError(
            f"{text} takes {batch} pictures at once, no more and no fewer: export it for one, or any number"
        )
    if bool(height) != bool(width):
        side = f"height of {height}" if height else f"width of {width}"
        raise StyleError(f"{text} takes pictures with a {side} only: export it for one size, or with both sides free")
    return replace(card, inputs=tuple(names)), (height, width) if height else None


def _rename(model: ModelProto, old: str, new: str) -> None:
    rename_uses(model.graph.node, old, new)
    for value in model.graph.input:
        if value.name == old:
            value.name = new
