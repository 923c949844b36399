import pytest
from pydantic import TypeAdapter, ValidationError

from odenet.data import DataConfig

ADAPTER = TypeAdapter(DataConfig)
KINDS = [
    "digits",
    "two_moons",
    "circles",
    "annuli",
    "spirals",
    "swiss_roll",
    "peaks",
    "reflection",
    "mnist",
    "fashion_mnist",
    "cifar10",
    "npz",
    "absent",
]
REQUIRED = {"npz": {"path": "own.npz"}, "absent": {"shape": [4], "num_classes": 2}}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_chosen_by_its_name_and_survives_json(kind):
    config = ADAPTER.validate_python({"kind": kind} | REQUIRED.get(kind, {}))
    assert config.kind == kind
    assert ADAPTER.validate_json(ADAPTER.dump_json(config)) == config


def test_schema_documents_every_field_of_every_kind():
    schema = ADAPTER.json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(KINDS)
    for name, definition in schema["$defs"].items():
        for field, options in definition["properties"].items():
            assert field == "kind" or options.get("description"), f"{name}.{field}"


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "two_moons", "augment": {}},
        {"kind": "swiss_roll", "split_seed": 1},
        {"kind": "annuli", "noise": 0.1},
        {"kind": "mnist", "augment": {"padding": -1}},
        {"kind": "mnist", "limit_train": 60_001},
        {"kind": "cifar10", "limit_train": 50_001},
        {"kind": "cifar10", "limit_test": 10_001},
        {"kind": "cifar10", "limit_train": 5000},
        {"kind": "circles", "factor": 1.0},
        {"kind": "spirals", "num_classes": 1},
        {"kind": "digits", "split_seed": -1},
        {"kind": "imagenet"},
    ],
)
def test_ignored_options_and_numbers_out_of_range_raise(data):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(data)


def test_augmentation_is_none_unless_images_ask_for_it():
    assert ADAPTER.validate_python({"kind": "peaks"}).augmentation is None
    assert ADAPTER.validate_python({"kind": "cifar10"}).augmentation is None
    asked = ADAPTER.validate_python({"kind": "cifar10", "augment": {"padding": 2}})
    assert asked.augmentation is not None
    assert asked.augmentation.padding == 2
