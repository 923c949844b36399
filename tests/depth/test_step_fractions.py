import numpy as np
import pytest

from odenet.depth.prune import step_fractions, surviving_layers
from odenet.errors import ConfigError


def test_fractions_are_parts_of_the_sum_of_lengths():
    np.testing.assert_allclose(step_fractions(np.array([1.0, -3.0, 0.0])), [0.25, 0.75, 0.0])


def test_layers_below_the_fraction_go_and_the_order_stays():
    taus = np.array([0.5, 0.01, -0.4, 0.0, 0.09])
    assert surviving_layers(taus, 0.05).tolist() == [0, 2, 4]
    assert surviving_layers(taus, 0.09).tolist() == [0, 2, 4]  # 0.09 of 1 is not below 0.09
    assert surviving_layers(taus, 0.1).tolist() == [0, 2]


def test_the_longest_step_stays_in_any_case():
    assert surviving_layers(np.array([1.0, -1.1, 1.0]), 1.0).tolist() == [1]


def test_fractions_that_make_no_sense_are_refused():
    for fraction in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="above 0 and at most 1"):
            surviving_layers(np.ones(2), fraction)
    with pytest.raises(ConfigError, match="all step sizes are 0"):
        step_fractions(np.zeros(3))
