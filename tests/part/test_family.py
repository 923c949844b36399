import abc
import json
from typing import Literal

import pytest
from pydantic import Field, ValidationError

from odenet.errors import ConfigError
from odenet.experiment.config import json_schema, parse_config, to_values
from odenet.fields import MLPFieldConfig, VectorFieldConfig
from odenet.models import DepthBlockConfig
from odenet.part import PartConfig
from odenet.part.family import (
    families_of,
    forget,
    generation,
    is_contract,
    kinds_of,
    members_of,
    restored,
)
from odenet.part.kinds import all_parts, direct_parts


@pytest.fixture(autouse=True)
def families_as_before():
    with restored():
        yield


class AnimalConfig(PartConfig, abc.ABC, family="animal"):
    kind: str

    @abc.abstractmethod
    def sound(self) -> str: ...


class WingedConfig(AnimalConfig):
    wings: int = 2


class ZooConfig(PartConfig):
    first: AnimalConfig
    others: tuple[AnimalConfig, ...] = ()
    named: dict[str, AnimalConfig] = Field(default={})
    winged: WingedConfig | None = None


def define():
    class DogConfig(AnimalConfig):
        kind: Literal["dog"] = "dog"
        legs: int = 4

        def sound(self) -> str:
            return "woof"

    class OwlConfig(WingedConfig):
        kind: Literal["owl"] = "owl"

        def sound(self) -> str:
            return "hoo"

    return DogConfig, OwlConfig


def gated_field():
    class GatedFieldConfig(VectorFieldConfig):
        kind: Literal["gated"] = "gated"
        inner: VectorFieldConfig = MLPFieldConfig()

        def check(self, shape):
            pass

        def build(self, shape, takes_time, *, depth=None, rngs):
            return self.inner.build(shape, takes_time, depth=depth, rngs=rngs)

    return GatedFieldConfig


def test_members_are_the_concrete_subclasses_with_a_kind_of_their_own():
    dog, owl = define()
    assert members_of(AnimalConfig) == (dog, owl)
    assert members_of(WingedConfig) == (owl,)
    assert families_of(owl) == [AnimalConfig]
    assert is_contract(AnimalConfig)
    assert is_contract(WingedConfig)
    assert not is_contract(dog)
    assert direct_parts(AnimalConfig | None) == [dog, owl]
    assert all_parts(tuple[AnimalConfig, ...]) == (dog, owl)


def test_an_option_takes_mappings_bare_kinds_and_objects():
    dog, owl = define()
    zoo = ZooConfig.model_validate(
        {"first": "dog", "others": ["owl", {"kind": "dog", "legs": 3}], "named": {"a": "owl"},
         "winged": owl()}
    )  # fmt: skip
    assert zoo.first == dog()
    assert zoo.others == (owl(), dog(legs=3))
    assert zoo.named == {"a": owl()}
    assert ZooConfig.model_validate(zoo.model_dump(mode="json")) == zoo
    assert ZooConfig.model_validate_json(zoo.model_dump_json()) == zoo


def test_a_narrower_contract_refuses_the_other_members():
    dog, _ = define()
    with pytest.raises(ConfigError, match="winged"):
        ZooConfig(first=dog(), winged=dog())
    with pytest.raises(ConfigError, match=r"winged\.wing"):
        ZooConfig(**{"first": "dog", "winged": {"kind": "owl", "wing": 1}})


def test_a_member_that_joins_later_is_known_to_configs_of_before():
    define()
    ZooConfig.model_validate({"first": "dog"})
    with pytest.raises(ValidationError):
        ZooConfig.model_validate({"first": "cat"})

    class CatConfig(AnimalConfig):
        kind: Literal["cat"] = "cat"

        def sound(self) -> str:
            return "meow"

    assert ZooConfig.model_validate({"first": "cat"}).first == CatConfig()
    before = generation()
    forget([CatConfig])
    assert generation() > before
    with pytest.raises(ValidationError):
        ZooConfig.model_validate({"first": "cat"})


def test_two_members_of_one_kind_are_refused_unless_defined_again():
    dog, _ = define()
    again, _ = define()
    assert members_of(AnimalConfig)[0] is again is not dog
    with pytest.raises(ConfigError, match=r"two kinds of animal are called 'dog': .*test_family"):

        class HoundConfig(AnimalConfig):
            kind: Literal["dog"] = "dog"

            def sound(self) -> str:
                return "wow"


def test_a_class_without_what_its_contract_declares_is_refused_when_defined():
    with pytest.raises(ConfigError, match="of kind 'fish' has no sound; define the members"):

        class FishConfig(AnimalConfig):
            kind: Literal["fish"] = "fish"


def test_a_contract_has_no_objects_and_says_what_its_subclass_needs():
    with pytest.raises(TypeError, match=r"WingedConfig is a contract.*kind: Literal"):
        WingedConfig(kind="owl")


def test_parts_that_are_defined_for_a_while_leave_again():
    with restored():
        define()
        assert kinds_of(members_of(AnimalConfig)[0]) == ("dog",)
    assert members_of(AnimalConfig) == ()


def test_an_experiment_takes_a_foreign_field_by_kind_and_as_an_object():
    gated = gated_field()
    assert DepthBlockConfig(field=gated()).field == gated()
    values = {
        "name": "a",
        "data": "digits",
        "model": {"kind": "classifier", "stages": [{"width": 8}]},
    }
    config = parse_config(values, ["model.block.field={kind: gated, inner: {hidden: [5]}}"])
    assert config.model.blocks[0].field == gated(inner=MLPFieldConfig(hidden=(5,)))
    assert parse_config(to_values(config)) == config
    with pytest.raises(ConfigError, match=r"field.kind=gatd does not exist; nearest: gated"):
        parse_config(values, ["model.block.field=gatd"])
    with pytest.raises(
        ConfigError, match=r"unknown key model.block.field.hidden.*field.inner.hidden"
    ):
        parse_config(values, ["model.block.field={kind: gated, hidden: [3]}"])


def test_the_schema_holds_foreign_kinds_and_refers_to_a_contract_that_holds_itself():
    gated_field()
    definitions = json.loads(json_schema())["$defs"]
    assert "gated" in json.dumps(definitions["VectorFieldConfig"])
    inner = definitions["GatedFieldConfig"]["properties"]["inner"]
    assert inner["$ref"] == "#/$defs/VectorFieldConfig"
