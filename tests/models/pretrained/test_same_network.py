"""Published networks, imported, against the same networks in PyTorch: outputs and statistics."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from torch_networks import residual_network, with_random_statistics

from odenet.models.pretrained import ARCHITECTURES, convert, flatten, read_weights, shapes_of
from odenet.objectives import CrossEntropyConfig, Objective
from odenet.training.state import split_network

MADE = {
    "resnet18": {"units": (2, 2, 2, 2), "bottleneck": False},
    "resnet50": {"units": (3, 4, 6, 3), "bottleneck": True},
}
LEARNING_RATE = 0.05


@pytest.fixture(scope="module")
def torch():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torch")


def imported(name, arrays, num_classes, size, dtype=np.float32, **options):
    """Structure, parameters and statistics of our network with the arrays of a file."""
    architecture = ARCHITECTURES[name]
    model = architecture.model.model_copy(update=options)
    abstract = nnx.eval_shape(lambda: model.build((size, size, 3), num_classes, rngs=nnx.Rngs(0)))
    graphdef, params, statistics = split_network(abstract)
    names = architecture.weight_map(num_classes, 3)
    ours = convert(arrays, names, {**shapes_of(params), **shapes_of(statistics)}, dtype)

    def pick(tree, values):
        if not isinstance(tree, dict):
            return jnp.asarray(values)
        return {key: pick(part, values[key]) for key, part in tree.items()}

    return graphdef, pick(params, ours), pick(statistics, ours), names


def channels_first(x):
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def images(count, size, seed=3):
    return np.random.default_rng(seed).normal(size=(count, size, size, 3)).astype(np.float32)


@pytest.fixture(scope="module", params=MADE)
def pair(request, torch, tmp_path_factory):
    """A network of torchvision in PyTorch, and the name and arrays of its file."""
    made = MADE[request.param] | {"widths": (64, 128, 256, 512), "imagenet": True}
    theirs = with_random_statistics(torch, residual_network(torch, **made))
    path = tmp_path_factory.mktemp("file") / "weights.pth"
    torch.save(theirs.state_dict(), path)
    return theirs, request.param, read_weights(path)


SIZE, CLASSES = 64, 10


@pytest.mark.slow
def test_torchvision_network_gives_the_logits_of_pytorch(pair, torch):
    theirs, name, arrays = pair
    graphdef, params, statistics, _ = imported(name, arrays, CLASSES, SIZE, np.float32)
    x = images(4, SIZE)
    with torch.no_grad():
        expected = theirs.float().eval()(torch.from_numpy(channels_first(x))).numpy()
    found = jax.jit(lambda p, s, x: nnx.merge(graphdef, p, s)(x).outputs)(params, statistics, x)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=2e-5)


@pytest.mark.slow
def test_epsilon_of_all_norms_is_that_of_pytorch(pair, torch):
    theirs, name, arrays = pair
    norms = [part for part in theirs.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    options = {"norm_epsilon": 1e-3}
    graphdef, params, statistics, _ = imported(name, arrays, CLASSES, SIZE, **options)
    x = images(4, SIZE)
    for norm in norms:
        norm.eps = 1e-3
    with torch.no_grad():
        expected = theirs.float().eval()(torch.from_numpy(channels_first(x))).numpy()
    for norm in norms:
        norm.eps = 1e-5
    found = jax.jit(lambda p, s, x: nnx.merge(graphdef, p, s)(x).outputs)(params, statistics, x)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=5e-6)


@pytest.mark.slow
def test_training_step_moves_statistics_and_weights_as_in_pytorch(pair, torch):
    # In double precision: through sixteen ReLUs and norms of few pixels, gradients are sensitive.
    theirs, name, arrays = pair
    graphdef, params, statistics, names = imported(name, arrays, CLASSES, SIZE, np.float64)
    x, labels = images(4, SIZE).astype(np.float64), np.arange(4, dtype=np.int32)
    theirs = theirs.double().train()
    optimizer = torch.optim.SGD(theirs.parameters(), LEARNING_RATE)
    outputs = theirs(torch.from_numpy(channels_first(x)))
    loss = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(labels).long())
    loss.backward()
    optimizer.step()

    objective = Objective(CrossEntropyConfig().build())

    def value(params):
        model = nnx.merge(graphdef, params, statistics, copy=True)
        loss, _ = objective(
            model, jnp.asarray(x), jnp.asarray(labels), jnp.ones(len(x)), training=True
        )
        return loss, split_network(model)[2]

    (found, moved), gradient = jax.jit(jax.value_and_grad(value, has_aux=True))(params)
    stepped = jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, gradient)
    np.testing.assert_allclose(found, loss.item(), rtol=1e-7)
    after = {key: value.numpy() for key, value in theirs.state_dict().items()}
    shapes = {**shapes_of(stepped), **shapes_of(moved)}
    wanted = flatten(convert(after, names, shapes, np.float64))
    for path, leaf in {**flatten(stepped), **flatten(moved)}.items():
        scale = np.abs(wanted[path]).max()
        np.testing.assert_allclose(leaf / scale, wanted[path] / scale, atol=1e-7, err_msg=path)


def test_published_cifar_file_gives_the_logits_of_pytorch(torch, resnet20_file):
    arrays = read_weights(resnet20_file)
    made = {"units": (3, 3, 3), "widths": (16, 32, 64), "bottleneck": False, "imagenet": False}
    theirs = residual_network(torch, **made)
    theirs.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in arrays.items()}, False)
    graphdef, params, statistics, _ = imported("resnet20", arrays, 10, 32)
    x = images(16, 32)
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(channels_first(x))).numpy()
    found = jax.jit(lambda x: nnx.merge(graphdef, params, statistics)(x).outputs)(x)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(expected).max() > 1


FAMILIES = {"resnet18", "resnet50", "resnet20", "resnet164", "resnet152", "resnet1202"}
"""Basic units and bottlenecks of both namings, and the deepest networks of two families."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in FAMILIES else pytest.mark.product)
        for name in ARCHITECTURES
    ],
)
def test_every_array_of_a_published_network_has_its_place(name):
    architecture = ARCHITECTURES[name]
    size = architecture.image_size
    abstract = nnx.eval_shape(
        lambda: architecture.model.build((size, size, 3), 7, rngs=nnx.Rngs(0))
    )
    _, params, statistics = split_network(abstract)
    arrays = architecture.arrays(7, 3)
    file = {array.name: np.zeros(array.shape, np.float32) for array in arrays}
    names = architecture.weight_map(7, 3)
    made = convert(file, names, {**shapes_of(params), **shapes_of(statistics)})
    assert set(made) == set(params) | set(statistics)


def test_architectures_are_those_of_the_papers():
    depths = (18, 20, 32, 34, 44, 50, 56, 101, 110, 152, 164, 1001, 1202)
    assert sorted(ARCHITECTURES, key=lambda name: int(name[6:])) == [f"resnet{d}" for d in depths]
