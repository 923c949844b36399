"""The table of instruments: what all of them declare, and the same words for the same options."""

import inspect
from typing import Any, ClassVar, Literal

import pytest

from odenet.cli.generated import parameters_of
from odenet.errors import ConfigError
from odenet.instruments import find, names, question, run_instruments
from odenet.instruments.base import RunInstrument
from odenet.part import PartConfig

ELEVEN = {
    "basis", "convergence", "critical-step", "effective-depth", "gradient-audit", "gradient-flow",
    "gradient-scaling", "seeds", "stability", "steps-to-reach", "trajectories",
}  # fmt: skip


def test_all_are_in_the_table():
    assert set(names()) >= ELEVEN
    assert {name for name in ELEVEN if find(name).compares_runs} == {
        "critical-step", "gradient-scaling", "seeds", "steps-to-reach",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(ELEVEN))
def test_instrument_declares_what_is_shown_of_it(name):
    instrument = find(name)
    assert instrument.instrument_name() == name
    assert instrument.__module__ == f"odenet.instruments.{name.replace('-', '_')}"
    assert question(name)[-1] in "?."
    assert instrument.needs
    assert bool(instrument.alt) == bool(instrument.caption) == instrument.has_figure
    for option, field in instrument.model_fields.items():
        assert field.description or option == "kind", option
    assert [one.name for one in parameters_of(instrument)] == [
        option for option in instrument.model_fields if option != "kind"
    ]


def test_options_of_one_name_are_of_one_type():
    for option in ("split", "examples"):
        kinds = {one.model_fields[option].annotation for one in run_instruments().values()}
        assert len(kinds - {int | None}) == 1, option


def test_unknown_names_and_options_name_the_nearest():
    with pytest.raises(ConfigError, match="nearest: stability"):
        find("stabilty")
    with pytest.raises(ConfigError, match="nearest: examples"):
        find("stability")(example=3)


def test_an_option_that_no_command_line_could_give_is_refused():
    class Nested(PartConfig):
        inner: PartConfig

    with pytest.raises(TypeError, match="inner is"):
        parameters_of(Nested)


def test_options_have_the_types_and_defaults_of_their_fields():
    class Options(PartConfig):
        numbers: tuple[float, ...]
        """Several, at least one."""
        flag: bool = False
        """Yes or no."""
        word: Literal["a", "b"] | None = None
        """One of two."""

    numbers, flag, word = parameters_of(Options)
    assert numbers.default is inspect.Parameter.empty
    assert (flag.default, word.default) == (False, None)
    assert numbers.annotation.__metadata__[0].help == "Several, at least one."


def test_an_instrument_from_outside_joins_when_it_is_defined():
    from odenet.part.family import restored

    with restored():

        class Length(RunInstrument):
            """How long is it?"""

            needs: ClassVar[frozenset[str]] = frozenset({"length"})
            kind: Literal["length"] = "length"

            def measure(self, run) -> dict[str, Any]:
                return {"length": len(run.taus)}

            @staticmethod
            def table(found):
                return str(found["length"])

        assert names()[-1] == "length"
        assert question("length") == "How long is it?"
        assert find("length") is Length
        with pytest.raises(ConfigError, match=r"Short .* of kind 'short' has no measure, table"):

            class Short(RunInstrument):
                kind: Literal["short"] = "short"

    assert "length" not in names()
