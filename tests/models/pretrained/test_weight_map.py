"""Names, layouts and shapes: everything is loaded, or everything that is wrong is listed."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.errors import CheckpointError
from odenet.models.pretrained import WeightEntry, WeightMap, convert, export, shapes_of

MAP = WeightMap(
    (
        WeightEntry("stem.weight", "projections.0.map.kernel", "conv"),
        WeightEntry("unit0.weight", "blocks.0.kernel", "conv", 0),
        WeightEntry("unit1.weight", "blocks.0.kernel", "conv", 1),
        WeightEntry("unit0.bias", "blocks.0.bias", "same", 0),
        WeightEntry("unit1.bias", "blocks.0.bias", "same", 1),
        WeightEntry("fc.weight", "head.linear.kernel", "linear"),
        WeightEntry("fc.bias", "head.linear.bias"),
        WeightEntry("tau", "tau"),
    )
)


def ours(seed=0):
    draw = np.random.default_rng(seed)

    def random(*shape):
        return draw.normal(size=shape).astype(np.float32)

    return {
        "projections": {0: {"map": {"kernel": random(3, 3, 2, 4)}}},
        "blocks": {0: {"kernel": random(2, 5, 3, 4, 4), "bias": random(2, 4)}},
        "head": {"linear": {"kernel": random(4, 7), "bias": random(7)}},
        "tau": random()[()] * np.ones((), np.float32),
    }


def test_shapes_are_by_dotted_path():
    assert shapes_of(ours()) == {
        "projections.0.map.kernel": (3, 3, 2, 4),
        "blocks.0.kernel": (2, 5, 3, 4, 4),
        "blocks.0.bias": (2, 4),
        "head.linear.kernel": (4, 7),
        "head.linear.bias": (7,),
        "tau": (),
    }


def test_export_has_the_layout_of_pytorch():
    tree = ours()
    foreign = export(tree, MAP)
    assert {name: array.shape for name, array in foreign.items()} == {
        "stem.weight": (4, 2, 3, 3),
        "unit0.weight": (4, 4, 5, 3),
        "unit1.weight": (4, 4, 5, 3),
        "unit0.bias": (4,),
        "unit1.bias": (4,),
        "fc.weight": (7, 4),
        "fc.bias": (7,),
        "tau": (),
    }
    kernel = tree["blocks"][0]["kernel"]
    assert foreign["unit1.weight"][3, 1, 4, 2] == kernel[1, 4, 2, 1, 3]
    assert all(array.flags.c_contiguous for array in foreign.values())


def test_convert_is_the_inverse_of_export():
    tree = ours()
    back = convert(export(tree, MAP), MAP, shapes_of(tree))
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    jax.tree.map(np.testing.assert_array_equal, back, tree)


def test_convert_makes_new_arrays_of_one_type():
    foreign = export(ours(), MAP)
    foreign["fc.bias"] = foreign["fc.bias"].astype(jnp.bfloat16)
    foreign["tau"] = foreign["tau"].astype(np.float64)
    back = convert(foreign, MAP, shapes_of(ours()))
    assert {leaf.dtype for leaf in jax.tree.leaves(back)} == {np.dtype(np.float32)}
    back["head"]["linear"]["kernel"][:] = 0
    assert foreign["fc.weight"].any()


def test_counts_of_batches_are_left_out():
    foreign = export(ours(), MAP) | {"bn.num_batches_tracked": np.array(3)}
    back = convert(foreign, MAP, shapes_of(ours()))
    assert jax.tree.structure(back) == jax.tree.structure(ours())
    jax.tree.map(np.testing.assert_array_equal, back, ours())


def test_everything_that_misfits_is_in_one_error():
    foreign = export(ours(), MAP)
    del foreign["unit1.bias"], foreign["tau"]
    foreign |= {"other": np.zeros((2, 3)), "stem.bias": np.zeros(4)}
    foreign["fc.weight"] = foreign["fc.weight"][:5]
    foreign["fc.bias"] = foreign["fc.bias"].astype(np.int32)
    with pytest.raises(CheckpointError) as caught:
        convert(foreign, MAP, shapes_of(ours()))
    assert str(caught.value).splitlines() == [
        "weights must fit the model entirely; nothing was loaded",
        "missing in the file (2):",
        "  unit1.bias (4,), for blocks.0.bias",
        "  tau (), for tau",
        "extra in the file (2):",
        "  other (2, 3)",
        "  stem.bias (4,)",
        "misshapen in the file (2):",
        "  fc.weight: expected (7, 4), got (5, 4)",
        "  fc.bias: expected real numbers, got int32",
    ]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (MAP.entries[1:], r"projections\.0\.map\.kernel of shape .* as a whole, or once for each"),
        (MAP.entries[:-1], r"tau of shape \(\) must be mapped once, as a whole; got nothing"),
        (MAP.entries[:1] + MAP.entries[2:], r"layers 0 to 1; got layers 1"),
        ((*MAP.entries, MAP.entries[1]), r"got layers 0, 1, 0"),
        ((*MAP.entries, MAP.entries[1]), r"unit0\.weight is mapped 2 times"),
        ((*MAP.entries, WeightEntry("x", "blocks.0.kernel")), r"got layers 0, 1, None"),
        ((*MAP.entries, WeightEntry("x", "nowhere")), r"x is mapped to nowhere, not in the model"),
        (
            (*MAP.entries[:-1], WeightEntry("tau", "tau", layer=0)),
            r"tau is mapped with layout same and layer 0 to tau of shape \(\)",
        ),
        (
            (*MAP.entries[:-2], WeightEntry("fc.bias", "head.linear.bias", "linear")),
            r"fc\.bias is mapped with layout linear and layer None",
        ),
        (
            (*MAP.entries[1:], WeightEntry("stem.weight", "blocks.0.kernel", "conv", 2)),
            r"stem\.weight is mapped with layout conv and layer 2",
        ),
    ],
)
@pytest.mark.parametrize("direction", ["convert", "export"])
def test_map_that_does_not_fit_the_model_is_refused(entries, words, direction):
    wrong = WeightMap(tuple(entries))
    foreign = export(ours(), MAP)
    calls = {
        "convert": lambda: convert(foreign, wrong, shapes_of(ours())),
        "export": lambda: export(ours(), wrong),
    }
    with pytest.raises(CheckpointError, match=words):
        calls[direction]()


@pytest.mark.torch
def test_converted_layers_compute_what_pytorch_computes():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    convolution, linear = torch.nn.Conv2d(2, 3, (3, 5), padding="same"), torch.nn.Linear(3, 4)
    network = torch.nn.Sequential(convolution, linear)
    foreign = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    names = WeightMap(
        (
            WeightEntry("0.weight", "conv.kernel", "conv"),
            WeightEntry("0.bias", "conv.bias"),
            WeightEntry("1.weight", "linear.kernel", "linear"),
            WeightEntry("1.bias", "linear.bias"),
        )
    )
    shapes = {
        "conv.kernel": (3, 5, 2, 3),
        "conv.bias": (3,),
        "linear.kernel": (3, 4),
        "linear.bias": (4,),
    }
    converted = convert(foreign, names, shapes)
    x = np.random.default_rng(1).normal(size=(2, 6, 7, 2)).astype(np.float32)
    h = jax.lax.conv_general_dilated(
        x, converted["conv"]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    h = h + converted["conv"]["bias"].reshape(1, 1, 1, 3)
    ours = h.mean((1, 2)) @ converted["linear"]["kernel"]
    ours = ours + converted["linear"]["bias"].reshape(1, 4)
    with torch.no_grad():
        images = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
        theirs = linear(convolution(images).mean((2, 3))).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    back = export(converted, names)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in back.items()})
