"""Residual networks written in PyTorch, with the names of published files: the other side."""


def residual_network(torch, units, widths, *, bottleneck, imagenet, num_classes=10):
    """A network of torchvision's naming (`imagenet`), or of the CIFAR naming with option A."""
    nn, functional = torch.nn, torch.nn.functional

    class Unit(nn.Module):
        def __init__(self, before, inner, stride):
            super().__init__()
            after = inner * 4 if bottleneck else inner
            sizes = [1, 3, 1] if bottleneck else [3, 3]
            channels = [before, *[inner] * (len(sizes) - 1), after]
            strides = [1] * len(sizes)
            strides[1 if bottleneck else 0] = stride
            self.number = len(sizes)
            for i, size in enumerate(sizes):
                convolution = nn.Conv2d(
                    channels[i], channels[i + 1], size, strides[i], size // 2, bias=False
                )
                setattr(self, f"conv{i + 1}", convolution)
                setattr(self, f"bn{i + 1}", nn.BatchNorm2d(channels[i + 1]))
            self.stride, self.missing = stride, after - before
            if imagenet and (stride != 1 or before != after):
                shortcut = nn.Conv2d(before, after, 1, stride, bias=False)
                self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(after))

        def forward(self, x):
            y = x
            for i in range(1, self.number + 1):
                y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
                if i < self.number:
                    y = functional.relu(y)
            if hasattr(self, "downsample"):
                x = self.downsample(x)
            elif self.stride != 1:
                half = self.missing // 2
                x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, self.missing - half))
            return functional.relu(x + y)

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            size, stride = (7, 2) if imagenet else (3, 1)
            self.conv1 = nn.Conv2d(3, widths[0], size, stride, size // 2, bias=False)
            self.bn1 = nn.BatchNorm2d(widths[0])
            before = widths[0]
            for index, (inner, count) in enumerate(zip(widths, units, strict=True)):
                stage = []
                for unit in range(count):
                    stage.append(Unit(before, inner, 2 if index and not unit else 1))
                    before = inner * 4 if bottleneck else inner
                setattr(self, f"layer{index + 1}", nn.Sequential(*stage))
            self.last = "fc" if imagenet else "linear"
            setattr(self, self.last, nn.Linear(before, num_classes))

        def forward(self, x):
            x = functional.relu(self.bn1(self.conv1(x)))
            if imagenet:
                x = functional.max_pool2d(x, 3, 2, 1)
            for index in range(len(units)):
                x = getattr(self, f"layer{index + 1}")(x)
            return getattr(self, self.last)(x.mean((2, 3)))

    return ResNet()


def with_random_statistics(torch, network, seed=0):
    """The network with weights, biases and running statistics that are all random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var"):
                value.copy_(torch.exp(0.3 * noise))
            elif value.ndim == 1:
                base = 1.0 if "bn" in name or "downsample.1" in name else 0.0
                value.copy_((base if name.endswith("weight") else 0.0) + 0.2 * noise)
            else:
                fan = value[0].numel()
                value.copy_(noise * (2 / fan) ** 0.5)
    return network
