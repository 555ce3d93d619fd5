"""What a live run says of itself: lines over the picture, and JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .budget import Setting

if TYPE_CHECKING:
    from .latency import StageTimes
    from .session import Standing

COLUMNS = 66
"""Characters a line that are still read well over a picture 640 pixels wide."""


def overlay_lines(standing: Standing, columns: int = COLUMNS) -> list[str]:
    """What is shown over the picture: pace, median latency and 95th percentile by stage, drops, what paints and why.

    Args:
        standing: of the run.
        columns: characters a line, at most; what is longer goes on in the next one, indented.
    """
    report, look = standing.report, standing.look
    latency = "no frame yet" if report.latency is None else f"latency {_both(report.latency)} ms"
    lines = [f"{report.fps:.1f} fps, {latency}, painting {report.busy:.0%} of the time"]
    if report.stages:
        lines.append(" ".join(f"{name} {_both(times)}" for name, times in report.stages.items()))
    if any(report.dropped.values()):
        lines.append(f"dropped: {', '.join(f'{edge} {count}' for edge, count in report.dropped.items() if count)}")
    lines.append(f"{look.style} {look.strength:.0%}, {_in_words(look.setting)}")
    if standing.state and standing.state.reason:
        lines.append(standing.state.reason)
    return [part for line in lines for part in textwrap.wrap(line, columns, subsequent_indent="  ")]


def to_dict(standing: Standing, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Plain values for JSON; one such object a second is what ``live --json`` writes, a line each.

    ===============  ==============================================================================================
    ``seconds``      since the start
    ``fps``          frames shown a second
    ``latency_ms``   ``{"p50": …, "p95": …}`` from captured to shown; null before the first frame
    ``stages_ms``    the same by stage: ``capture``, ``wait``, ``paint``, ``deliver``, ``show``, as far as a frame came
    ``dropped``      frames since the start whose place newer ones took: ``capture``, and each sink by its name, a URL
                     up to its host
    ``frames``       shown since the start
    ``busy``         share of the painting thread's time in which it painted, 0-1
    ``style``        its name
    ``strength``     0-1
    ``setting``      ``work_size`` (short side in pixels; null is the frames'), ``coherence`` (0-1), ``paint_every``
                     and ``precision`` of what is painted with
    ``reason``       why the budget controller chose it, one line; null without a controller, and before it changed
                     anything
    ``notes``        what else happened since the last line, a line each, such as a stream that was lost
    ===============  ==============================================================================================

    Rates, times and shares are over the last second.
    """
    look, setting = standing.look, standing.look.setting
    return {
        **standing.report.to_dict(),
        "style": look.style,
        "strength": round(look.strength, 3),
        "setting": {
            "work_size": setting.work_size,
            "coherence": round(setting.coherence, 3),
            "paint_every": setting.paint_every,
            "precision": setting.precision,
        },
        "reason": (standing.state and standing.state.reason) or None,
        "notes": list(notes),
    }


def json_line(standing: Standing, notes: Sequence[str] = ()) -> str:
    """:func:`to_dict` as one line of JSON, without its end."""
    return json.dumps(to_dict(standing, notes), ensure_ascii=False)


def _both(times: StageTimes) -> str:
    return f"{times.p50:.0f}/{times.p95:.0f}"


def _in_words(setting: Setting) -> str:
    size = "full size" if setting.work_size is None else f"work size {setting.work_size}"
    every = f", painted every {setting.paint_every}" if setting.paint_every > 1 else ""
    return f"{size}, coherence {setting.coherence:g}{every}, precision {setting.precision}"
