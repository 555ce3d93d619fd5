"""Nets alone, side by side in ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from adapters import Net, Peer

from allaprima.engine import Placement, load_engine, silent_inputs
from allaprima.errors import AllaprimaError, UsageError
from allaprima.measure.speed.timing import Clocks, ratio, run_in_turn, summarize
from allaprima.placement import probe_picture
from allaprima.style import Style

_WARM_UP = 2
_BURST = 0.1

Say = Callable[[str], None]
"""Told of the progress."""


def open_net(net: Net) -> Callable[[], object]:
    """One inference a call, in ONNX Runtime f32 on all cores.

    Idle threads don't spin: with several sessions in turn, they would slow each other.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(net.model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, net.feeds)


def nets_alone(peers: Sequence[Peer], size: tuple[int, int], rounds: int, say: Say) -> dict[str, Any]:
    """Every net by itself at (height, width), in turn.

    Returns:
        ``rounds``, ``warm_up``, ``rows`` (``name``, ``against``, ``size`` as WxH, ``mib`` of the graph, and times as
        :func:`~allaprima.measure.speed.timing.summarize` gives them), ``ratios`` (see :func:`pairwise`) and
        ``failures``.
    """
    failures: list[dict[str, str]] = []
    nets: dict[str, Net] = {}
    for peer in peers:
        try:
            net = peer.net(size)
        except AllaprimaError as error:
            failures.append({"name": f"{peer.name}, net alone", "error": str(error)})
            continue
        if net is not None:
            nets[peer.name] = net
    say(f"{len(nets)} nets alone in turn, {rounds} rounds")
    runs = {name: open_net(net) for name, net in nets.items()}
    samples, _ = run_in_turn(runs, rounds=rounds, warm_up=_WARM_UP, clocks=Clocks())
    measured = [peer for peer in peers if peer.name in samples]
    rows = [
        {
            "name": peer.name,
            "against": peer.against,
            "size": f"{nets[peer.name].size[1]}x{nets[peer.name].size[0]}",
            "mib": len(nets[peer.name].model) / 2**20,
            **summarize(samples[peer.name].wall),
        }
        for peer in measured
    ]
    ratios = pairwise(measured, {name: found.wall for name, found in samples.items()})
    return {"rounds": rounds, "warm_up": _WARM_UP, "rows": rows, "ratios": ratios, "failures": failures}


def against(style: Style, placement: Placement, rival: Peer, size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """A style where it is fastest against a rival's float net in ONNX Runtime f32, in turn, at (height, width).

    Ours takes 8-bit pictures and gives 8-bit paintings, the rival floats. In each round ours runs several times, for
    about :data:`_BURST` seconds: after a single run of the slower one its threads would still be asleep.

    Returns:
        ``placement`` of ours, ``of`` the rival's name, ``ms`` and ``of_ms`` (medians of a frame), and of the ratios of
        the rounds ``median`` and ``spread``.

    Raises:
        AllaprimaError: one of them can't run.
    """
    net = rival.net(size)
    if net is None:
        raise UsageError(f"{rival.name} has no net to be run alone")
    engine = load_engine(style, placement, size)
    feeds = {**silent_inputs(style, size), "image": probe_picture(size)[np.newaxis]}
    engine.run(feeds)
    started = time.perf_counter()
    engine.run(feeds)
    repeats = max(1, round(_BURST / (time.perf_counter() - started)))

    def burst() -> None:
        for _ in range(repeats):
            engine.run(feeds)

    samples, errors = run_in_turn(
        {"ours": burst, "rival": open_net(net)}, rounds=rounds, warm_up=_WARM_UP, clocks=Clocks()
    )
    for error in errors.values():
        raise error
    ours, others = [seconds / repeats for seconds in samples["ours"].wall], samples["rival"].wall
    times = {"ms": summarize(ours)["median_ms"], "of_ms": summarize(others)["median_ms"]}
    return {"placement": str(engine.placement), "of": rival.name, **times, **ratio(others, ours)}


def pairwise(peers: Sequence[Peer], seconds: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """How many times as long every rival takes as each style of ours, round by round.

    Args:
        peers: whom to compare.
        seconds: by name, one for each round, in the order of the rounds.

    Returns:
        ``of`` a rival ``to`` a style of ours: ``median`` and ``spread`` of the ratios.
    """
    mine = [peer.name for peer in peers if not peer.against]
    rivals = [peer.name for peer in peers if peer.against]
    return [{"of": rival, "to": own, **ratio(seconds[rival], seconds[own])} for rival in rivals for own in mine]
