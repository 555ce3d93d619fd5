"""The goals of ``allaprima live``, and the section of a page that shows them beside what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from document import NOT_MEASURED, table
from goals_page import Goal, Result, failures_list, goals_table, where

STAGES = ("capture", "wait", "paint", "deliver", "show")
_STALL = 3
"""Frames' time that a pause between two frames may last: with a longer one, a frame is missed."""
_PHASE = (("seconds", 0), ("of", 0), ("fps", 1), ("p95", 0), ("worst_p95", 0))
"""What is told of a phase, with digits."""
_FULL = 0.95
"""Share of the time from which on painting doesn't keep up."""
_FLAT = 1.2
"""Times that the latency after the soak may be that of a run begun anew, or the other way round."""
_WORDS = """\
The camera is a file of H.264 that plays at its own pace, decoded in the same process and stamped as captured when a
frame is given, as a camera's driver does it; a short clip, repeated as often as needed. The window is SDL's under Xvfb.
Others may use the same physical cores as a virtual machine. So half a millisecond of fixed work is timed on each core
ten times a second, and only seconds count in which, the one before among them, at most 15 % of it took more than 1.3
times its usual processor time: nothing that was painted chooses them.
Latency is from captured to shown: p50 and p95 of each second, of which the median is told, and for p95 also what 95 of
100 seconds stay below, by which it is judged. Rates are frames shown over the time, judged to a tenth of a frame.
*wait*: for the painting thread; *deliver*: for the sink's thread. Keys are pressed in the window (XTEST), and frames
counted where they come out of `--to -` beside it, those left out among them; the picture stands still, so that what
changes is the style. After the soak, its process is stopped and let go on in turn with others begun anew. Changes of
style, the pipeline and the soak are measured with `--no-adapt`, so that the controller changes nothing meanwhile.
Before and behind the load, it has until 15 seconds in a row were quiet to find its setting."""


def goals_of(found: Result) -> list[Goal]:
    """Every goal beside what one run of ``live.py`` found."""
    parts = found["parts"]
    judges: dict[str, Callable[[Result], list[Goal]]] = {
        "camera": _camera,
        "pipeline": _pipeline,
        "soak": _soak,
        "change": _change,
        "game": _game,
        "budget": _budget,
    }
    failed = {failure["name"] for failure in found["failures"]}
    goals = []
    for name, judge in judges.items():
        if name in parts:
            goals += judge(parts[name])
        else:
            reason = "see below" if name in failed else "left out of this run"
            goals.append(Goal(_TITLES[name], "–", f"{NOT_MEASURED}: {reason}", None))
    return goals


_TITLES = {
    "camera": "640×480 camera to window",
    "pipeline": "what the pipeline adds at 720p",
    "soak": "an hour",
    "change": "change of style",
    "game": "a game, painted while it is drawn",
    "budget": "the goal under load",
}


def section(found: Result) -> str:
    """The section of a page, in Markdown: the goals, then the figures behind them.

    Args:
        found: what ``live.py`` measured.
    """
    parts = found["parts"]
    words = (
        f"Style {found['style']}, clips made of `{found['clip']}`. Before the run, other processes took"
        f" {found['others_cpu']:.0%} of the machine. One run on {where(found)}, by"
    )
    return "\n\n".join(
        [
            f"## Live\n\n{words}\n\n```sh\n{found['command']}\n```",
            goals_table(goals_of(found)),
            _WORDS,
            *_stages(parts),
            *(_phases(parts["budget"]) if "budget" in parts else []),
            *_said(parts),
            *failures_list(found["failures"]),
        ]
    )


def _camera(part: Result) -> list[Goal]:
    what = "640×480 camera of 30 fps, fed by a file, to window, all defaults"
    dropped = sum(part["dropped"].values())
    measured = f"{part['fps']:.1f} fps, {dropped} frames left out; {_settings(part['settings'])} ({part['placement']})"
    return [
        Goal(what, "≥ 30 fps", measured, round(part["fps"], 1) >= 30),
        Goal("the same: latency", "p95 ≤ 80 ms", _late(part), part["worst_p95"] <= 80),
    ]


def _late(part: Result) -> str:
    return f"p95 {part['p95']:.0f} ms, ≤ {part['worst_p95']:.0f} ms in 95 of 100 seconds (p50 {part['p50']:.0f} ms)"


def _pipeline(part: Result) -> list[Goal]:
    own = {name: part["empty"]["stages"][name]["p50"] for name in ("wait", "paint", "deliver")}
    plain, default = (part[name]["stages"]["paint"]["p50"] for name in ("plain", "default"))
    measured = (
        f"{sum(own.values()):.1f} ms with a net that gives back the picture, the engine's way in and out among it:"
        f" {own['paint']:.1f} painting, {own['wait'] + own['deliver']:.1f} waiting between threads; the style's net"
        f" takes {plain - own['paint']:.1f} ms more, and coherence, a part of painting, {default - plain:.1f}"
    )
    if part["empty"]["busy"] > _FULL:
        measured += "; painting doesn't keep up, so that frames wait for it"
    what = f"what the pipeline adds at 720p beside capture, net and show (p50, {part['rate']} fps)"
    return [Goal(what, "≤ 5 ms", measured, sum(own.values()) <= 5)]


def _soak(part: Result) -> list[Goal]:
    what = f"{part['minutes']:g} minutes of the camera, to window and `null`, {part['changes']} changes of style"
    memory, first, last = part["memory"], part["first"], part["last"]
    beside = max(memory["most"] - memory["median"], memory["median"] - memory["least"])
    held = (
        f"{memory['least']:.0f} to {memory['most']:.0f} MiB after the first tenth, median {memory['median']:.0f},"
        f" slope {memory['slope_hour']:+.1f} MiB an hour"
    )
    late = ", ".join(f"{name} {part['new'][name]:.0f} → {part['old'][name]:.0f} ms" for name in ("p50", "p95"))
    over = ", ".join(f"{name} {first[name]:.0f} → {last[name]:.0f} ms" for name in ("p50", "p95"))
    flat = all(1 / _FLAT <= part["old"][name] / part["new"][name] <= _FLAT for name in ("p50", "p95"))
    return [
        Goal(f"{what}: memory", "± 20 MiB", held, beside <= 20),
        Goal(
            "the same, in turn with runs begun anew: latency, theirs → its own",
            f"flat (by ×{_FLAT:g} at most)",
            f"{late}; from its second tenth to its last, the machine's changes among it, {over}",
            flat,
        ),
    ]


def _change(part: Result) -> list[Goal]:
    bound = _STALL * 1000 / part["rate"]
    preloaded = part["preloaded"]
    if not preloaded:
        return [Goal(_TITLES["change"], "–", f"{NOT_MEASURED}: others never left the machine alone", None)]
    frames = [change["frames"] for change in preloaded]
    worst = max(change["gap"] for change in preloaded)
    first = f"frame {min(frames):.0f} to {max(frames):.0f}, {_seconds(preloaded)} after the key; {len(frames)} changes"
    goals = [
        Goal("change to a preloaded style: first pixels in", "≤ 2 frames", first, max(frames) <= 2),
        Goal("the same: longest pause between frames", f"≤ {bound:.0f} ms", f"{worst:.0f} ms", worst <= bound),
    ]
    for name, what in (("known", "used here before"), ("unknown", "never used here (its engine is chosen)")):
        changes = part[name]
        if not changes:
            continue
        gap, pace = max(change["gap"] for change in changes), min(change["least_fps"] for change in changes)
        measured = f"{gap:.0f} ms; {pace:.0f} fps or more meanwhile, shown after {_seconds(changes)}"
        title = f"change to a style that isn't loaded, {what}: longest pause"
        goals.append(Goal(title, f"≤ {bound:.0f} ms", measured, gap <= bound))
    return goals


def _seconds(changes: Sequence[Result]) -> str:
    times = [change["seconds"] for change in changes]
    return f"{min(times):.2f} to {max(times):.2f} s"


def _game(part: Result) -> list[Goal]:
    fps = float(part["goal"].split()[1])
    what = f"SuperTuxKart ({part['track']}) at 1280×720 in software GL on the same cores, captured, painted to window"
    measured = f"{part['fps']:.1f} fps, {_late(part)}; {_settings(part['settings'])}"
    return [Goal(f"{what}, `{part['goal']}`", f"≥ {fps:g} fps", measured, round(part["fps"], 1) >= fps)]


def _budget(part: Result) -> list[Goal]:
    phases, goals = part["phases"], []
    for name, phase in phases.items():
        steady = phase["steady"]
        held = round(steady["fps"], 1) >= 30 and steady["worst_p95"] <= 80
        measured = f"{steady['fps']:.1f} fps, {_late(steady)}; {in_words(steady['settings'][0][0])}"
        what = f"the camera with `{part['goal']}`, {name}" + (f" ({part['others']} busy)" if "load" in name else "")
        goals.append(Goal(what, "≥ 30 fps, p95 ≤ 80 ms", measured, held))
    before, after = (phases[name]["steady"]["settings"][0][0] for name in ("before", "after"))
    again = f"{in_words(before)} before, {in_words(after)} after"
    again += "" if part["back_s"] is None else f"; back for the first time in {part['back_s']:.0f} s"
    return [*goals, Goal("the same: setting when the load is gone", "as before", again, before == after)]


def in_words(setting: Result) -> str:
    """What is painted with."""
    size = "full size" if setting["work_size"] is None else f"work size {setting['work_size']}"
    every = f", painted every {setting['paint_every']}" if setting["paint_every"] > 1 else ""
    return f"{size}, coherence {setting['coherence']:g}{every}, {setting['precision']}"


def _settings(settings: Sequence[tuple[Mapping[str, object], int]]) -> str:
    whole = sum(count for _, count in settings)
    return "; ".join(f"{in_words(setting)} ({count / whole:.0%} of the time)" for setting, count in settings)


def _stages(parts: Result) -> list[str]:
    runs = {
        "camera": parts.get("camera"),
        "720p": parts.get("pipeline", {}).get("default"),
        "720p, coherence off": parts.get("pipeline", {}).get("plain"),
        "720p, coherence off, a net that does nothing": parts.get("pipeline", {}).get("empty"),
        "game": parts.get("game"),
        "the whole soak": parts.get("soak", {}).get("all"),
    }
    rows = [
        [name, f"{run['fps']:.1f}", f"{run['p50']:.1f} / {run['p95']:.1f}"]
        + [f"{run['stages'][stage]['p50']:.1f} / {run['stages'][stage]['p95']:.1f}" for stage in STAGES]
        + [f"{run['busy']:.0%}", f"{run['seconds']:.0f} of {run['of']:.0f}"]
        for name, run in runs.items()
        if run
    ]
    header = ["ms, p50 / p95", "fps", "latency", *STAGES, "painting, of the time", "seconds that count"]
    return [table(header, rows)] if rows else []


def _phases(part: Result) -> list[str]:
    rows = [
        [name, *(f"{phase[key]:.{digits}f}" for key, digits in _PHASE), _settings(phase["settings"])]
        for name, phase in part["phases"].items()
    ]
    header = [
        "the controller, whole phases",
        "seconds that count",
        "of",
        "fps",
        "p95, ms",
        "in 95 of 100 seconds ≤",
        "settings",
    ]
    return [table(header, rows)]


def _said(parts: Result) -> list[str]:
    spans = {**parts.get("budget", {}).get("phases", {}), "the game": parts.get("game")}
    lines = [f"- {name}: {'; '.join(span['reasons'])}" for name, span in spans.items() if span and span["reasons"]]
    return ["What the controller said:\n\n" + "\n".join(lines)] if lines else []
