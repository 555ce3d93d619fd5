"""The networks and their layers, against hand-computed tensors, float64 references and torch's own layers."""

# ruff: noqa: E402
from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import torch.distributed as dist
import torch.multiprocessing as processes
from torch import Tensor, nn

from allaprima.train.network import StyleNetwork
from allaprima.train.networks.johnson import johnson_network
from allaprima.train.networks.layers import (
    Affine,
    ClampWhenPainting,
    DepthToSpace,
    Recall,
    Residual,
    SpaceToDepth,
    StrengthShift,
)
from allaprima.train.networks.normalization import (
    FilterResponseNorm,
    SynchronizedBatchNorm,
    ThresholdedLinear,
    normalization_and_activation,
)
from allaprima.train.networks.realtime import realtime_network
from allaprima.train.networks.reconet import reconet_network

Make = Callable[[], StyleNetwork]
NETWORKS: dict[str, Make] = {
    "realtime": lambda: realtime_network(6, 2, strength=True),
    "realtime-recurrent": lambda: realtime_network(6, 2, strength=True, recurrent=True),
    **{f"johnson-{name}": lambda name=name: johnson_network(4, 2, name) for name in ("instance", "batch", "frn")},
    **{f"reconet-{name}": lambda name=name: reconet_network(4, 2, name) for name in ("instance", "frn")},
}
each_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
pytestmark = pytest.mark.usefixtures("one_thread")


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def picture(height: int, width: int, count: int = 1) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def randomized(layer: nn.Module) -> nn.Module:
    """The layer with other weights than the 1 and 0 that a normalization starts from."""
    for number, parameter in enumerate(layer.parameters()):
        parameter.data = 1 + 0.5 * noise(*parameter.shape, seed=number).to(parameter.dtype)
    return layer


@each_network
@pytest.mark.parametrize("size", [(16, 16), (17, 22), (35, 31)])
def test_a_painting_has_the_size_of_its_picture(make: Make, size: tuple[int, int]) -> None:
    """Odd sides are padded and cropped; a painting is in [0, 1] and every weight has a gradient."""
    net = make()
    painting = net(picture(*size, count=2), torch.tensor([0.25, 1.0]), picture(*size, count=2))
    assert painting.shape == (2, 3, *size)
    painting.square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in net.parameters())
    painted = net.eval()(picture(*size))
    assert painted.min() >= 0
    assert painted.max() <= 1


@pytest.mark.parametrize(
    ("net", "parameters"),
    [
        (lambda: johnson_network(32, 5, "instance"), 1_679_235),
        (lambda: johnson_network(16, 5, "instance"), 424_899),
        (lambda: johnson_network(8, 5, "instance"), 108_771),
        (lambda: reconet_network(48, 4, "instance"), 3_098_307),
        (lambda: reconet_network(24, 3, "instance"), 615_459),
        (lambda: realtime_network(48, 5, strength=False), 12 * 48 * 48 * 9 + 12 * 48),
    ],
)
def test_networks_have_the_published_number_of_weights(net: Make, parameters: int) -> None:
    """Those of fast_neural_style (6.7 MB), of its narrow variants, and of ReCoNet's two sizes."""
    assert sum(parameter.numel() for parameter in net().parameters()) == parameters


@pytest.mark.parametrize("make", [johnson_network, reconet_network])
def test_with_frn_every_activation_is_thresholded(make: Callable[[int, int, str], StyleNetwork]) -> None:
    """FRN's outputs are not centered: a ReLU after it would cut at the wrong place (Singh & Krishnan 2020)."""
    kinds = {type(layer) for layer in make(4, 1, "frn").modules()}
    assert {FilterResponseNorm, ThresholdedLinear} <= kinds
    assert not kinds & {nn.ReLU, nn.InstanceNorm2d, SynchronizedBatchNorm}


def test_only_reconet_activates_after_an_addition() -> None:
    """Johnson's residual layers give negative values too; ReCoNet's features are activations."""
    maps = reconet_network(4, 2, "instance").paint_with_features(picture(20, 24))[1]
    assert maps is not None
    assert maps.shape == (1, 16, 5, 6)
    assert maps.min() == 0 < maps.max()
    seen: list[Tensor] = []
    net = johnson_network(4, 2, "instance")
    net.get_submodule("blocks").register_forward_hook(lambda *said: seen.append(said[2]))
    assert net.paint_with_features(picture(20, 24))[1] is None
    assert seen[0].min() < 0


def test_johnson_works_on_255_and_is_linear_while_training() -> None:
    """With an identity in place of the layers, what is out of range comes back as it was, and is cut when painting."""
    net = johnson_network(4, 1, "instance")
    for name in [name for name, _ in net.named_children()]:
        if name not in {"to_255", "from_255", "clamp"}:
            net.set_submodule(name, nn.Identity())
    seen: list[Tensor] = []
    net.get_submodule("conv1").register_forward_hook(lambda *said: seen.append(said[2]))
    image = torch.tensor([-0.5, 0.2, 1.0, 1.5]).repeat(1, 3, 16, 4)
    torch.testing.assert_close(net(image), image)
    torch.testing.assert_close(seen[0], image * 255)
    torch.testing.assert_close(net.eval()(image), image.clamp(0, 1))


def test_reconet_works_on_minus_one_to_one() -> None:
    """A picture in [0, 1] enters as 2x − 1, and the painting is (tanh + 1) / 2."""
    net = reconet_network(4, 1, "instance")
    for name in [name for name, _ in net.named_children()]:
        if name not in {"to_signed", "tanh", "from_signed"}:
            net.set_submodule(name, nn.Identity())
    image = picture(16, 16)
    torch.testing.assert_close(net(image), (torch.tanh(2 * image - 1) + 1) / 2)


@each_network
def test_low_precision_paints_nearly_the_same(make: Make) -> None:
    """Under autocast, statistics stay float32: bright pictures don't drown in bfloat16's eight bits."""
    net = make()
    expected = net(picture(40, 40))
    with torch.autocast("cpu", torch.bfloat16):
        assert (net(picture(40, 40)).float() - expected).abs().max() < 0.04


@pytest.mark.parametrize("block", [2, 4])
def test_blocks_go_there_and_back(block: int) -> None:
    """Unshuffling and shuffling lose nothing, in ONNX's order: row, column, channel."""
    image = picture(8 * block, 4 * block, count=2)
    packed = SpaceToDepth(block)(image)
    assert packed.shape == (2, 3 * block * block, 8, 4)
    assert torch.equal(packed[:, 3 * (1 * block + 0) + 2, 3, 1], image[:, 2, 3 * block + 1, block])
    assert torch.equal(DepthToSpace(block)(packed), image)


def test_small_layers_by_hand() -> None:
    """Each on numbers that can be worked out in the head."""
    x = torch.tensor([[-1.0, 0.5, 2.0]])
    assert torch.equal(Affine(2.0, -1.0)(x), torch.tensor([[-3.0, 0.0, 3.0]]))
    assert torch.equal(Residual(Affine(3.0, 1.0), nn.ReLU())(x), torch.tensor([[-1.0, 3.0, 9.0]]))
    clamp = ClampWhenPainting()
    assert torch.equal(clamp(x), x)
    assert torch.equal(clamp.eval()(x), torch.tensor([[0.0, 0.5, 1.0]]))
    unit = ThresholdedLinear(2)
    unit.threshold.data[:] = torch.tensor([0.25, -1.5]).view(1, 2, 1, 1)
    expected = torch.tensor([[0.25, 0.5, 2.0], [-1.0, 0.5, 2.0]])
    assert torch.equal(unit(x.expand(2, 3).view(1, 2, 1, 3)).view(2, 3), expected)


def test_the_shift_by_strength_by_hand() -> None:
    """x − (1 − strength)³·weight, of each picture by its own strength; nothing at full strength."""
    shift, x = StrengthShift(2), noise(3, 2, 4, 5)
    strength = torch.tensor([0.0, 0.5, 1.0])
    shift.weight.data[:] = torch.tensor([8.0, -2.0]).view(1, 2, 1, 1)
    change = torch.tensor([[-8.0, 2.0], [-1.0, 0.25], [0.0, 0.0]]).view(3, 2, 1, 1)
    torch.testing.assert_close(shift(x, strength), x + change)


def test_a_network_paints_as_strongly_as_it_is_told() -> None:
    """In full if nothing is said, as if it had no such input; and each picture of a batch by its own strength."""
    net, plain = realtime_network(6, 2, strength=True), realtime_network(6, 2, strength=False)
    assert net.takes_strength and not plain.takes_strength
    net.get_submodule("adjust").weight.data[:] = noise(1, 6, 1, 1, seed=3)  # type: ignore[union-attr,operator]
    weights = net.state_dict()
    assert weights.pop("adjust.weight").shape == (1, 6, 1, 1)
    plain.load_state_dict(weights)
    image = picture(17, 22, count=3)
    full = net(image)
    assert torch.equal(full, plain(image))
    assert torch.equal(full, net(image, torch.ones(3)))
    assert torch.equal(full, plain(image, torch.zeros(3)))
    painted = net(image, torch.tensor([0.0, 0.5, 1.0]))
    for index, strength in enumerate((0.0, 0.5, 1.0)):
        alone = net(image[index : index + 1], torch.tensor([strength]))
        torch.testing.assert_close(painted[index : index + 1], alone)
        assert bool((painted[index] - full[index]).abs().max() > 0.01) == (strength < 1)


def test_what_is_recalled_by_hand() -> None:
    """A cell's values are added to as the painting before has them, in the unshuffling's order; nothing by black."""
    recall, x, previous = Recall(2, 3), noise(1, 3, 4, 5), picture(8, 10)
    assert set(recall.state_dict()) == {"conv.weight"}
    assert torch.equal(recall(x, previous), x)
    recall.conv.weight.data[:] = noise(3, 12, 3, 3)
    assert torch.equal(recall(x, torch.zeros_like(previous)), x)
    recall.conv.weight.data.zero_()
    recall.conv.weight.data[1, 3 * (2 * 1 + 0) + 2, 1, 1] = 0.5  # blue, second row, first column
    expected = x.clone()
    expected[0, 1] += 0.5 * previous[0, 2, 1::2, 0::2]
    torch.testing.assert_close(recall(x, previous), expected)


def test_a_recurrent_network_sees_the_painting_before() -> None:
    """After a reset, black or nothing, it paints as the plain one; then each painting depends on the one before."""
    net, plain = (realtime_network(6, 2, strength=False, recurrent=recurrent) for recurrent in (True, False))
    assert net.takes_previous and not plain.takes_previous
    weights = net.state_dict()
    assert torch.equal(weights.pop("recall.conv.weight"), torch.zeros(6, 48, 3, 3))
    plain.load_state_dict(weights)
    net.get_submodule("recall.conv").weight.data[:] = 0.3 * noise(6, 48, 3, 3)  # type: ignore[union-attr,operator]
    image = picture(17, 22, count=2)
    first = net(image)
    assert torch.equal(first, plain(image)) and torch.equal(first, net(image, previous=torch.zeros_like(image)))
    assert torch.equal(plain(image, previous=first), first)
    second = net(image, previous=first)
    third = net(image, previous=second)
    assert (second - first).abs().max() > 0.01 and not torch.equal(second, third)
    torch.testing.assert_close(net(image[:1], previous=first[:1]), second[:1])


def test_optional_weights_are_those_that_a_plain_network_has_not() -> None:
    """What a net goes on with that was trained without: all that it lacks, and the memory is nothing yet."""
    whole, plain = (realtime_network(6, 1, strength=told, recurrent=told) for told in (True, False))
    optional = whole.optional_weights()
    assert set(optional) == set(whole.state_dict()) - set(plain.state_dict()) == {"adjust.weight", "recall.conv.weight"}
    assert optional["adjust.weight"].all() and not optional["recall.conv.weight"].any()
    assert plain.optional_weights() == johnson_network(4, 1, "batch").optional_weights() == {}


def test_instance_statistics_against_float64() -> None:
    """Mean and deviation over each picture's and channel's own places, biased. With a painting's statistics for weights
    this is AdaIN (Huang and Belongie 2017, equation 8): σ(y)·(x − μ(x)) / σ(x) + μ(y)."""
    norm, _ = normalization_and_activation("instance", 3)
    assert isinstance(norm, nn.InstanceNorm2d)
    x, y = 4 + 3 * noise(2, 3, 5, 7), 2 * noise(1, 3, 4, 6, seed=1, dtype=torch.float64) - 1
    style_mean = y.mean((0, 2, 3))
    style_deviation = (y - style_mean.view(1, 3, 1, 1)).square().mean((0, 2, 3)).sqrt()
    norm.weight.data, norm.bias.data = style_deviation.float(), style_mean.float()
    exact = x.double()
    mean = exact.mean((2, 3), keepdim=True)
    deviation = ((exact - mean).square().mean((2, 3), keepdim=True) + norm.eps).sqrt()
    expected = style_deviation.view(1, 3, 1, 1) * (exact - mean) / deviation + style_mean.view(1, 3, 1, 1)
    torch.testing.assert_close(norm(x).double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm(x).double().mean((2, 3)), style_mean.expand(2, 3), rtol=1e-4, atol=1e-4)


def test_filter_response_norm_by_hand() -> None:
    """Of 3 and 4, ν² is 12.5; γ and β are each channel's own."""
    norm = FilterResponseNorm(2, eps=0.5)
    norm.weight.data[:] = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    norm.bias.data[:] = torch.tensor([0.0, -1.0]).view(1, 2, 1, 1)
    x = torch.tensor([3.0, 4.0]).expand(1, 2, 1, 2)
    root = math.sqrt(13.0)
    expected = torch.tensor([[3 / root, 4 / root], [6 / root - 1, 8 / root - 1]]).view(1, 2, 1, 2)
    torch.testing.assert_close(norm(x), expected)
    assert torch.equal(FilterResponseNorm(1)(torch.zeros(1, 1, 4, 4)), torch.zeros(1, 1, 4, 4))


def test_filter_response_norm_in_double_precision() -> None:
    """Float32 agrees with the formula in float64, and the gradient with finite differences."""
    norm = randomized(FilterResponseNorm(3))
    x = noise(2, 3, 5, 7) * 100
    wide = x.double()
    power = (wide**2).sum((2, 3), keepdim=True) / 35
    expected = norm.weight.double() * wide / (power + 1e-6).sqrt() + norm.bias.double()
    torch.testing.assert_close(norm(x).double(), expected, rtol=1e-5, atol=1e-5)
    precise = randomized(FilterResponseNorm(2)).double()
    entry = noise(2, 2, 3, 3, dtype=torch.float64).requires_grad_()
    weights = (entry, precise.weight, precise.bias)
    assert torch.autograd.gradcheck(lambda x, *_: precise(x), weights)
    unit = ThresholdedLinear(2).double()
    assert torch.autograd.gradcheck(lambda x, _: unit(x), (entry, unit.threshold))


def test_filter_response_norm_does_not_overflow() -> None:
    """The square of 300 is no float16."""
    y = FilterResponseNorm(1)(torch.full((1, 1, 8, 8), 300.0, dtype=torch.float16))
    assert y.dtype == torch.float16
    torch.testing.assert_close(y, torch.ones_like(y))


def test_instance_norm_has_weights_and_no_memory() -> None:
    """As in fast_neural_style: by each map's own mean and variance, in training as in use."""
    norm, activation = normalization_and_activation("instance", 3)
    assert isinstance(activation, nn.ReLU)
    randomized(norm)
    assert set(norm.state_dict()) == {"weight", "bias"}
    x = noise(2, 3, 5, 7) * 3 + 2
    wide = x.double()
    mean, variance = wide.mean((2, 3), keepdim=True), wide.var((2, 3), correction=0, keepdim=True)
    gamma, beta = (norm.state_dict()[name].double().view(1, 3, 1, 1) for name in ("weight", "bias"))
    expected = gamma * (wide - mean) / (variance + 1e-5).sqrt() + beta
    torch.testing.assert_close(norm(x).double(), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(norm.eval()(x), norm.train()(x))


def test_batch_norm_in_one_process_is_torchs() -> None:
    """Output, gradients, running statistics and the names of all weights, in training and after it."""
    ours, theirs = randomized(SynchronizedBatchNorm(3)), randomized(nn.BatchNorm2d(3))
    for step in range(3):
        x = noise(4, 3, 5, 7, seed=step) * 3 + 2
        y, expected = ours(x), theirs(x)
        assert torch.equal(y, expected)
        y.square().sum().backward()
        expected.square().sum().backward()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def _one_of_two(rank: int, folder: str, port: int) -> None:
    torch.set_num_threads(1)
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    norm = randomized(SynchronizedBatchNorm(3))
    share = (noise(6, 3, 5, 7) * 3 + 2)[:4] if rank == 0 else (noise(6, 3, 5, 7) * 3 + 2)[4:]
    share.requires_grad_()
    y = norm(share)
    (y * torch.linspace(-1, 1, 7)).square().sum().backward()
    gradients = torch.cat([norm.weight.grad, norm.bias.grad])
    dist.all_reduce(gradients)
    painted = norm.eval()(share) if rank == 0 else None  # alone: eval mode must wait for nobody
    saved = {"y": y, "x_grad": share.grad, "gradients": gradients, "state": norm.state_dict(), "painted": painted}
    torch.save(saved, f"{folder}/{rank}.pt")
    # Who leaves first breaks the connection of one that still communicates, be it in a barrier. The store is the
    # parent's and outlives both; that of a file, which each would close, aborts a process when closing fails.
    store.set(f"done-{rank}", "")
    store.wait(["done-0", "done-1"])
    dist.destroy_process_group()


def test_batch_norm_of_two_processes_is_that_of_the_whole_batch(tmp_path: Path) -> None:
    """Four samples here and two there: output, every gradient and the running statistics are those of all six."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    processes.spawn(_one_of_two, (str(tmp_path), store.port), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    whole = randomized(nn.BatchNorm2d(3))
    x = (noise(6, 3, 5, 7) * 3 + 2).requires_grad_()
    y = whole(x)
    (y * torch.linspace(-1, 1, 7)).square().sum().backward()
    torch.testing.assert_close(torch.cat([first["y"], second["y"]]), y)
    torch.testing.assert_close(torch.cat([first["x_grad"], second["x_grad"]]), x.grad, rtol=1e-4, atol=1e-5)
    for result in (first, second):
        torch.testing.assert_close(result["gradients"], torch.cat([whole.weight.grad, whole.bias.grad]))
        for name, value in whole.state_dict().items():
            torch.testing.assert_close(result["state"][name], value)
    torch.testing.assert_close(first["painted"], whole.eval()(x[:4]))
