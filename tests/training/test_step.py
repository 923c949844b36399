import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from odenet.data import normalize
from odenet.experiment.build import build


def test_one_step_equals_gradient_descent_by_hand(configure):
    config = configure(training__optimizer__momentum=0.0)
    experiment = build(config)
    with experiment.batches() as batches:
        chunk = next(batches)
    rows = chunk["indices"][0]
    train = experiment.dataset.train
    x = normalize(jnp.asarray(train.inputs[rows]), experiment.dataset.normalization)
    labels = jax.nn.one_hot(train.targets[rows], 10, dtype=jnp.float32)
    params = jax.device_get(experiment.start.params)

    def loss(params):
        model = nnx.merge(experiment.graphdef, params, experiment.start.statistics)
        logits = model(x).outputs
        return -jnp.mean(jnp.sum(labels * jax.nn.log_softmax(logits), axis=-1))

    value, grads = jax.jit(jax.value_and_grad(loss))(params)
    expected = jax.tree.map(lambda p, g: p - jnp.float32(0.05) * g, params, grads)

    config = configure(training__optimizer__momentum=0.0, training__steps_per_dispatch=1)
    experiment = build(config)
    resident = experiment.resident()
    first = {"indices": chunk["indices"][:1]}
    program = experiment.compile(resident, first)
    state, metrics = program.run(
        experiment.start, resident, experiment.placement.place_chunk(first)
    )
    np.testing.assert_allclose(metrics["loss"][0], value, rtol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7),
        jax.device_get(state.params),
        jax.device_get(expected),
    )


def test_steps_per_dispatch_do_not_change_the_numbers(configure, take_steps):
    one = take_steps(configure(training__steps_per_dispatch=1), dispatches=6)
    six = take_steps(configure(training__steps_per_dispatch=2), dispatches=3)
    np.testing.assert_allclose(one.metrics["loss"], six.metrics["loss"], rtol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), one.params, six.params
    )


def test_streamed_and_resident_data_give_the_same_numbers(configure, take_steps, take_once):
    resident = take_once(configure())
    streamed = take_steps(configure(training__resident_bytes=0))
    np.testing.assert_allclose(resident.metrics["loss"], streamed.metrics["loss"], rtol=1e-6)


def test_training_step_compiles_exactly_once(configure, tmp_path, caplog):
    from odenet.experiment.run import run

    with jax.log_compiles():
        run(configure(), tmp_path / "run")
    compiled = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Compiling")]
    assert len([line for line in compiled if "train_steps" in line]) == 1
    # Evaluation, on validation and on the test split, and nothing per step.
    assert len([line for line in compiled if "jit(one)" in line]) == 2


def test_the_state_is_donated(configure):
    experiment = build(configure())
    resident = experiment.resident()
    with experiment.batches() as batches:
        chunk = next(batches)
    program = experiment.compile(resident, chunk)
    start = experiment.start
    state, _ = program.run(start, resident, experiment.placement.place_chunk(chunk))
    assert start.params["head"]["linear"]["kernel"].is_deleted()
    assert not state.params["head"]["linear"]["kernel"].is_deleted()


def test_no_leaf_of_the_state_is_weakly_typed(configure):
    experiment = build(configure(model__block__step_sizes={"kind": "learned"}))
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(experiment.start))


def test_augmented_images_do_not_depend_on_the_number_of_devices(configure, take_steps, take_once):
    changes = {"data__augment": {"padding": 1, "flip": False}}
    one = take_steps(configure(**changes))
    plain = take_once(configure())
    four = take_steps(configure(**changes, training__parallel={"kind": "pmap", "devices": 4}))
    np.testing.assert_allclose(one.metrics["loss"], four.metrics["loss"], rtol=1e-5)
    assert not np.allclose(one.metrics["loss"], plain.metrics["loss"], rtol=1e-3)


def test_same_seed_gives_same_bytes_and_another_seed_does_not(configure, take_steps, take_once):
    first = take_once(configure())
    second, other = (take_steps(configure(seed=seed)) for seed in (0, 4))
    leaves = jax.tree.leaves(first.params)
    for a, b in zip(leaves, jax.tree.leaves(second.params), strict=True):
        np.testing.assert_array_equal(a, b)
    kernel = first.params["head"]["linear"]["kernel"]
    assert not np.array_equal(kernel, other.params["head"]["linear"]["kernel"])


@pytest.mark.parametrize("field", ["conv"])
def test_convolutional_network_with_learned_steps_trains(configure, take_steps, field):
    config = configure(
        model__stem={"kind": "conv"},
        model__stages=[{"width": 4}, {"width": 8, "projection": {"kind": "conv", "stride": 2}}],
        model__block={"field": {"kind": field}, "num_steps": 2, "step_sizes": {"kind": "learned"}},
    )
    loss = take_steps(config, dispatches=6).metrics["loss"]
    assert loss[-4:].mean() < loss[:4].mean()


def test_fixed_matrix_stays_and_a_learned_one_moves(configure):
    for learned in (False, True):
        stages = [{"width": 64}, {"width": 8, "projection": {"kind": "matrix", "learned": learned}}]
        config = configure(model__stem={"kind": "flatten"}, model__stages=stages)
        experiment = build(config)
        resident = experiment.resident()
        with experiment.batches() as batches:
            chunk = next(batches)
        start = jax.device_get(experiment.start)
        program = experiment.compile(resident, chunk)
        state, _ = program.run(experiment.start, resident, experiment.placement.place_chunk(chunk))
        where = "params" if learned else "statistics"
        before, after = (
            getattr(s, where)["projections"][1]["operation"]["kernel"] for s in (start, state)
        )
        assert (np.asarray(before).tobytes() != np.asarray(after).tobytes()) == learned
