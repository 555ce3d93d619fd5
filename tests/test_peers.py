"""``benchmarks/peers.py``: adapters, timed processes and the page, without peers and without measuring for long."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nets as graphs
import numpy as np
import pytest
from clips import make

from allaprima.errors import UsageError
from allaprima.style import Card, bundled_styles, write_style

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts are no package: they are imported from their folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in ("adapters", "document", "end_to_end", "net_alone", "peers"):
        sys.modules.pop(name, None)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A data folder with one painting's name, and a folder of two peers of which one painting is known."""
    data, peers = tmp_path / "data", tmp_path / "peers"
    (data / "styles").mkdir(parents=True)
    peers.mkdir()
    (data / "styles" / "hokusai-great-wave.jpg").touch()
    for name in ("candy", "rain"):
        graphs.write_foreign(peers / f"fast_neural_style-{name}.onnx", graphs.negative())
    (peers / "style-candy.jpg").touch()
    return data, peers


def test_every_peer_and_its_painting(folders: tuple[Path, Path]) -> None:
    """Protects the tables: bundled styles first, foreign nets as rivals, and no painting that isn't there."""
    from adapters import all_peers

    found = {peer.name: peer for peer in all_peers(*folders)}
    styles = [path.stem for path in bundled_styles()]
    assert list(found)[: len(styles)] == styles
    assert list(found)[-1] == "untouched"
    assert [name for name, peer in found.items() if peer.name.startswith("fast") and peer.against] == [
        "fast_neural_style-candy",
        "fast_neural_style-rain",
    ]
    assert found["great-wave"].painting == folders[0] / "styles" / "hokusai-great-wave.jpg"
    assert found["fast_neural_style-candy"].painting == folders[1] / "style-candy.jpg"
    rain = found["fast_neural_style-rain"]
    assert (rain.painting, rain.why_no_painting) == (None, "its painting isn't available")
    assert not found["starry-night"].against


def test_further_styles_and_names(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Protects --also: a further style is one of ours; two of one name would share their rows."""
    from adapters import all_peers

    further = write_style(tmp_path / "mine.onnx", graphs.negative(), Card(title="Mine")).path
    mine = next(peer for peer in all_peers(*folders, [further]) if peer.name == "mine")
    assert not mine.against
    command = mine.video_command(Path("in.mp4"), Path("out.mp4"), (540, 720))
    assert command is not None
    assert command[2:8] == ["allaprima", "video", "in.mp4", "out.mp4", "--style", str(further)]
    with pytest.raises(UsageError, match="two styles are called 'mine'"):
        all_peers(*folders, [further, further])
    with pytest.raises(UsageError, match=r"no fast_neural_style-\*.onnx"):
        all_peers(folders[0], tmp_path)


def test_styles_of_ours_as_rivals_and_fewer_nets(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Protects --rival and --nets: our own ReCoNet is a rival; a net that isn't there is told."""
    from adapters import all_peers

    reconet = write_style(tmp_path / "reconet.onnx", graphs.negative(), Card(title="ReCoNet", network="reconet")).path
    found = all_peers(*folders, rivals=[reconet], nets=["rain"])
    rivals = [peer.name for peer in found if peer.against]
    assert rivals[:2] == ["fast_neural_style-rain", "reconet"]
    with pytest.raises(UsageError, match=r"no net 'mosaic'.*candy, rain"):
        all_peers(*folders, nets=["mosaic"])


def test_what_is_measured_without_coherence(folders: tuple[Path, Path]) -> None:
    """Protects the zero line: with coherence the untouched clip would be blended; rivals are steadied unless told."""
    from adapters import all_peers
    from peers import subject_of

    found = {peer.name: peer for peer in all_peers(*folders)}
    found["fast_neural_style-candy"] = found["fast_neural_style-rain"]  # its painting is an empty file
    names = ("untouched", "fast_neural_style-candy")
    assert [subject_of(found[name]).plain for name in names] == [True, False]
    assert [subject_of(found[name], plain_rivals=True).plain for name in names] == [True, True]
    object.__setattr__(found["starry-night"], "painting", None)
    assert not subject_of(found["starry-night"], plain_rivals=True).plain


def test_a_shorter_run(folders: tuple[Path, Path]) -> None:
    """Protects the page of a shorter run: it measures what was asked for, and shows the command for just that."""
    from peers import parse, thinned

    from allaprima.measure.quality.material import Material

    places = ["--data", str(folders[0]), "--peers", str(folders[1])]
    assert parse(places).command == parse([*places, "--docs", "page.md", "--rounds", "3"]).command
    less = ["--rival", "folder/reconet.onnx", "--plain-rivals", "--pictures", "3", "--flicker", "2", "--clips", "b"]
    options = parse([*places, *less])
    assert options.command.endswith(
        "VGG.safetensors --rival reconet.onnx --plain-rivals --pictures 3 --flicker 2 --clips b"
    )
    pictures = {str(number): graphs.photograph() for number in range(9)}
    material = thinned(Material(pictures, {"a": [], "b": []}), options)
    assert (list(material.pictures), list(material.clips)) == (["0", "4", "8"], ["b"])
    assert list(material.flicker_pictures()) == ["0", "8"]
    with pytest.raises(UsageError, match="no clip 'b'; there are: a"):
        thinned(Material(clips={"a": []}), options)
    with pytest.raises(UsageError, match="at least 1"):
        parse([*places, "--flicker", "0"])


def test_untouched_is_the_identity() -> None:
    """Protects the zero line: the very pixels come back, there is no net and no command."""
    from adapters import Untouched

    peer, pixels = Untouched(), graphs.photograph()
    assert peer.painter().paint(pixels, {})[0] is pixels
    assert peer.net((24, 20)) is None
    assert peer.video_command(Path("a"), Path("b"), (24, 20)) is None


def test_net_alone(tmp_path: Path) -> None:
    """Protects the comparison of nets: the float graph with a seeded picture in its own range, the rival over ours."""
    from adapters import StyleFile
    from net_alone import nets_alone, open_net, pairwise

    own = StyleFile(name="own", about="", stride=1, against=False, style=graphs.style_of(tmp_path, graphs.negative()))
    wide = Card(title="Wide", value_range=255)
    rival = StyleFile(name="rival", about="", stride=1, style=write_style(tmp_path / "r.onnx", graphs.negative(), wide))
    net = rival.net((24, 20))
    assert net.feeds["image"].shape == (1, 3, 24, 20)
    assert 200 < net.feeds["image"].max() < 255
    (painted,) = open_net(net)()  # type: ignore[misc]
    np.testing.assert_allclose(painted, 1 - net.feeds["image"], rtol=1e-6)

    found = nets_alone([own, rival], (24, 20), 4, lambda what: None)
    assert [row["name"] for row in found["rows"]] == ["own", "rival"]
    assert [row["size"] for row in found["rows"]] == ["20x24", "20x24"]
    ratios = pairwise([own, rival], {"own": [1.0, 2.0, 4.0], "rival": [3.0, 4.0, 4.0]})
    assert ratios == [{"of": "rival", "to": "own", "median": 2.0, "spread": 1.0}]


def test_timed_process() -> None:
    """Protects wall, CPU and memory of commands: those of the child, not of this process; a failure is told."""
    from end_to_end import BenchmarkError, run_command

    hog = np.ones(2**24)  # 128 MiB here must not count there
    usage = run_command([sys.executable, "-c", "import time; time.sleep(0.2); print('done')"])
    assert usage.output == "done\n"
    assert usage.wall > 0.2
    assert usage.cpu is not None and usage.cpu < usage.wall
    assert usage.peak_mib is not None and 1 < usage.peak_mib < hog.nbytes / 2**20 / 2
    with pytest.raises(BenchmarkError, match="exit code 3: no luck"):
        run_command([sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"])


def row(name: str, coherence: float, **measured: Any) -> dict[str, Any]:
    """A row of ``evaluate`` in which most was not measured."""
    empty = dict.fromkeys(
        ("style", "style_score", "content", "ssim", "warp", "warp_untouched", "warp_above", "warp_long",
         "warp_long_untouched",
         "e_stab", "e_stab_untouched", "sharpness", "sharpness_untouched", "grid", "blobs", "milliseconds")
    )  # fmt: skip
    start = {"name": name, "coherence": coherence, "default": bool(coherence), "against": name != "mine", "stride": 4}
    planes: dict[str, Any] = {"shift": {}, "shift_floor": {}, "noise": {}, "clips": {}, "sequences": {}, "notes": []}
    return {**start, "placement": "onnxruntime f32 on cpu", "threads": 0, **empty, **planes, **measured}


def found_with(**parts: Any) -> dict[str, Any]:
    """A run of ``peers.py`` with these parts."""
    machine = {"cpu": "2 cores of a test", "system": "Linux", "python": "3.11", "allaprima": "0", "commit": None,
               "date": "2026-01-01", "packages": {"onnxruntime": "1", "torch": None}}  # fmt: skip
    peers = [{"name": "mine", "about": "a net", "against": False, "painting": None, "why_no_painting": "lost"}]
    return {"machine": machine, "peers": peers, **parts}


def test_page_says_what_was_not_measured() -> None:
    """Protects honesty: a missing figure is words, never a number; parts left out are told; recalled values apart."""
    from document import document

    sequence = {"mask": "exact", "valid_fraction": 0.91, "e_stab": 0.0512, "per_valid_pixel": 0.0537, "untouched": 0.01}
    rows = [
        row("mine", 0.0, style_score=0.125, shift={"2.6": 3.14}, shift_floor={"2.6": 0.5}, notes=["warp: no clips"]),
        row("mine", 0.5, warp=7.0, sequences={"scene:pan": sequence}),
    ]
    protocol = {"pictures": {"size": [512, 384], "names": ["a"]}, "flicker_pictures": ["a"], "clips": {"c": 24},
                "clip_size": [640, 360], "clip_frames": 24, "definitions": {"warp": "along flow"}}  # fmt: skip
    failures = [{"name": "other", "error": "broke"}]
    quality = {"rows": rows, "protocol": protocol, "failures": failures}
    page = document(found_with(quality=quality), [("A plot", Path("images/plot.svg"))])
    picture = next(line for line in page.splitlines() if line.startswith("| **mine** | off | 0.1"))
    assert picture.split(" | ")[2:4] == ["0.12", "not measured"]
    assert "3.1 (0.5)" in page
    assert "| scene:pan | exact | 0.91 | 0.0100 | not measured → 0.0512 |" in page
    assert "- mine: warp: no clips\n- other: broke" in page
    assert "![A plot](images/plot.svg)" in page
    assert "- *warp*: along flow." in page
    assert "commit unknown" in page
    assert "torch" not in page
    assert page.index("## Published figures") < page.index("recalled, not re-read")
    assert "## Speed: nets alone\n\nNot measured in this run." in page


def test_page_says_what_coherence_leaves() -> None:
    """Protects the goals of steadiness: our default over our own net's sharpness, and over rivals as they are."""
    from document import document

    last = {"a": 20.0, "b": 10.0}
    rows = [
        row("mine", 0.0, sharpness=20.0, clips={name: {"sharpness_last": value} for name, value in last.items()}),
        row("mine", 1.0, sharpness=19.0, clips={name: {"sharpness_last": 9.0} for name in last}, warp_above=2.0),
        row("rival", 0.0, warp_above=10.0, e_stab=0.1),
        row("rival", 1.0, warp_above=5.0, e_stab=0.1),
        row("untouched", 0.0, warp_above=0.0, e_stab=0.01),
    ]
    protocol = {"pictures": {"size": [512, 384], "names": ["a"]}, "flicker_pictures": ["a"], "clips": {"c": 24},
                "clip_size": [640, 360], "clip_frames": 24, "definitions": {}}  # fmt: skip
    page = document(found_with(quality={"rows": rows, "protocol": protocol, "failures": []}, command="peers.py -x"))
    assert "| **mine** | 0.95 | 0.45 | 0.20 | not measured |" in page
    assert "warp / rival" in page and "warp / untouched" not in page
    assert "```sh\npeers.py -x\n```" in page


def test_page_of_speed() -> None:
    """Protects the tables of speed: ratios beside the rival alone, commands in full, what has none left empty."""
    from document import document

    ratios = [{"of": "rival", "to": "mine", "median": 14.2, "spread": 0.3}]
    times = {"size": "720x540", "mib": 1.0, "median_ms": 33.3, "spread_ms": 1.0}
    nets = {"rounds": 9, "warm_up": 2, "ratios": ratios, "failures": [], "rows": [
        {"name": "mine", "against": False, **times}, {"name": "rival", "against": True, **times}]}  # fmt: skip
    command = {"what": "command", "command": "python -m allaprima video", "placement": "here", "size": "720x540",
               "wall_s": 15.0, "spread_s": 0.1, "fps": 40.0, "steady_fps": 42.0, "start_s": 0.7, "cpu_s": 28.0,
               "wall_cores_over_cpu": 1.07, "peak_mib": 300.0}  # fmt: skip
    alone = {**dict.fromkeys(command), "what": "net alone", "placement": "", "size": "720x540", "fps": 2.0,
             "wall_s": 300.0, "spread_s": 2.0}  # fmt: skip
    whole = {"size": "720x540", "frames": 600, "short_frames": 10, "rounds": 3, "cores": 2, "ratios": ratios,
             "failures": [], "rows": [{"name": "mine", "against": False, **command},
                                      {"name": "rival", "against": True, **alone}]}  # fmt: skip
    page = document(found_with(nets=nets, whole=whole))
    assert "| **mine** | 720x540 | 1.00 | 33.3 | 1.0 |  |" in page
    assert "| rival | 720x540 | 1.00 | 33.3 | 1.0 | 14.2 (0.3) |" in page
    assert "| rival | net alone | 720x540 |  | 2.0 | 300.0 | 2.0 | – | – | – | – | – | 14.2 (0.3) |" in page
    assert "```sh\npython -m allaprima video\n```" in page


def test_whole_commands(tmp_path: Path) -> None:
    """Protects the timed comparison: results are looked at, what fails is told and left out, nets count by frames."""
    from adapters import Net, Untouched
    from end_to_end import whole

    class Copying(Untouched):
        """A command that copies its input, or a part of it."""

        def video_command(self, clip: Path, out: Path, size: tuple[int, int]) -> list[str]:
            script = 'import shutil, sys; shutil.copy(*sys.argv[1:]); print(\'{"engine": "copy"}\')'
            return [sys.executable, "-c", script, str(clip if self.about != "cheat" else source), str(out)]

    class Alone(Untouched):
        """A net, and no command."""

        def net(self, size: tuple[int, int]) -> Net:
            return Net(graphs.negative().SerializeToString(), {"image": np.zeros((1, 3, *size), np.float32)}, size)

    def peer(kind: type[Untouched], name: str, **changes: Any) -> Untouched:
        made = kind()
        for field, value in {"name": name, **changes}.items():
            object.__setattr__(made, field, value)
        return made

    source = make(tmp_path / "in.mp4", frames=12)
    peers = [
        peer(Copying, "ours", against=False),
        peer(Alone, "net"),
        peer(Copying, "cheat", about="cheat"),
        peer(Untouched, "neither"),
    ]
    found = whole(peers, source, tmp_path, size=(48, 64), frames=20, rounds=2, say=lambda what: None)
    ours, net = found["rows"]
    assert (ours["name"], ours["what"], ours["placement"]) == ("ours", "command", "copy")
    assert ours["fps"] == pytest.approx(20 / ours["wall_s"], rel=0.5)
    assert (net["name"], net["what"], net["cpu_s"], net["peak_mib"]) == ("net", "net alone", None, None)
    assert [(ratio["of"], ratio["to"]) for ratio in found["ratios"]] == [("net", "ours")]
    assert found["failures"] == [{"name": "cheat, whole", "error": "cheat made 12 frames of 64×48, not 10 of 64×48"}]
