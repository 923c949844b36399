"""Arrays of a user's own data set, as they stand in an .npz file."""

import numpy as np

RNG = np.random.default_rng(0)
IMAGES = {
    "train_inputs": RNG.integers(0, 256, (40, 4, 5, 3), np.uint8),
    "train_targets": np.arange(40) % 4,
    "test_inputs": RNG.integers(0, 256, (8, 4, 5, 3), np.uint8),
    "test_targets": np.arange(8) % 4,
}
VECTORS = {
    "train_inputs": RNG.normal(size=(40, 3)),
    "train_targets": RNG.normal(size=40),
    "test_inputs": RNG.normal(size=(8, 3)),
    "test_targets": RNG.normal(size=8),
}
VALIDATION = {"validation_inputs": "test_inputs", "validation_targets": "test_targets"}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""The usual normalisation of ImageNet."""


def with_validation(arrays):
    return arrays | {name: arrays[like][:6] for name, like in VALIDATION.items()}


def each_input(change, base=IMAGES):
    return {name: change(a) if "inputs" in name else a for name, a in base.items()}
