"""ResNet-20 in the usual form of PyTorch: modules, channels first, batch norm in training mode."""

from torch import nn
from torch.nn import functional

from benchmarks import weights
from benchmarks.declaration import Settings, Work
from benchmarks.torch_training import classification, nchw


class Block(nn.Module):
    """Two convolutions and a shortcut without parameters (option A)."""

    def __init__(self, inputs: int, channels: int, stride: int):
        super().__init__()
        self.stride, self.missing = stride, channels - inputs
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        """The state after the block."""
        y = functional.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.missing:
            half = self.missing // 2
            x = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(x, (0, 0, 0, 0, half, self.missing - half))
        return functional.relu(x + y)


class ResNet20(nn.Module):
    """The network for CIFAR-10 of He et al. 2015, arXiv:1512.03385, sec. 4.2."""

    def __init__(self, blocks: int):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        stages, inputs = [], 16
        for channels, first_stride in weights.RESNET20_STAGES:
            stage = []
            for block in range(blocks):
                stage.append(Block(inputs, channels, first_stride if block == 0 else 1))
                inputs = channels
            stages.append(nn.Sequential(*stage))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        """Logits of a batch."""
        h = functional.relu(self.stem_norm(self.stem(x)))
        return self.head(self.stages(h).mean(dim=(2, 3)))


def build(settings: Settings, double: bool) -> Work:
    """The torch side."""
    inputs, labels = weights.images(settings["batch"], (32, 32, 3), 10, double)
    blocks = settings["blocks"]
    start = weights.resnet20(double, blocks)
    return classification(lambda: ResNet20(blocks), nchw(inputs), labels, start, 0.1)
