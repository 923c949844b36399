"""ResNet-20 on CIFAR shapes: one step of SGD with momentum, against PyTorch."""

import optax

from benchmarks import weights
from benchmarks.declaration import Check, Comparison, Ratio, Settings, Side, Timing, Work
from benchmarks.jax_training import cross_entropy, training
from benchmarks.networks import resnet20

BENCHMARK = Comparison(
    name="resnet20",
    about="ResNet-20, 32x32x3, batch 128, one SGD-momentum step",
    sides=(
        Side("odenet", "benchmarks.cases.resnet20", keeps_memory=True),
        Side("torch", "benchmarks.cases.resnet20_torch"),
    ),
    ratios=(Ratio("PyTorch", "odenet", "torch", bar=1.0),),
    settings={"batch": 128, "blocks": 3},
    full=Timing(rounds=11, steps=2),
    quick=Timing(rounds=1, warm_up=1, settle=0),
    quick_settings={"batch": 8, "blocks": 2},
    # The first block of a stage widens and strides, the second does neither, like the third.
    checks=(Check({"batch": 4, "blocks": 2}, 1e-7),),
    note=(
        "The remaining cost is that of the kernel gradients: their patches are sliced, then "
        "joined, so they are written twice. Tried without gain: one product per kernel element, "
        "patches of rows or of pairs of pixels, channels first, taps split between both operands, "
        "Winograd's algorithm along one axis and along two, XLA's convolution with batch and "
        "channels exchanged, other block sizes."
    ),
)


def build(settings: Settings, double: bool) -> Work:
    """The odenet side."""

    def loss(params, batch):
        logits, statistics = resnet20(params, batch[0], settings["blocks"])
        extras = {"outputs": logits, "statistics": statistics}
        return cross_entropy(logits, batch[1]), extras

    batch = weights.images(settings["batch"], (32, 32, 3), 10, double)
    start = weights.resnet20(double, settings["blocks"])
    return training(loss, start, batch, optax.sgd(0.1, 0.9))
