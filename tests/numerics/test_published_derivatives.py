r"""`jax.grad` of whole networks against the backward recursions of learned time, in numpy.

With $z_\ell = W_\ell y_{\ell-1} + b_\ell$ and $\lambda_\ell = \partial L / \partial y_\ell$, a
layer $y_\ell = P_\ell y_{\ell-1} + \tau_\ell \sigma(z_\ell)$ has
$\lambda_{\ell-1} = (P_\ell^T + \tau_\ell W_\ell^T \mathrm{diag}\,\sigma'(z_\ell)) \lambda_\ell$,
$\partial L / \partial \tau_\ell = \langle \lambda_\ell, \sigma(z_\ell) \rangle$ and
$\partial L / \partial W_\ell = \tau_\ell (\sigma'(z_\ell) \circ \lambda_\ell) y_{\ell-1}^T$
(derived from the layers of Antil, Díaz and Herberg 2022, arXiv:2204.08528). Rows of arrays are
examples, whose parts in the derivatives of parameters add up.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import nnx
from numerics.precision import drawn

from odenet.models import RegressorConfig

X = np.random.default_rng(0).normal(size=(5, 3))
TARGETS = np.random.default_rng(1).normal(size=(5, 2))
GAMMA = 0.6


def gradients(values):
    """Parameters and gradients of half the squared distance to the targets, as plain dicts."""
    config = RegressorConfig.model_validate(values)
    network = drawn(lambda: config.build((3,), 2, rngs=nnx.Rngs(0)), seed=4, scale=0.6)
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)

    def loss(params):
        outputs = nnx.merge(graphdef, params, rest)(jnp.asarray(X)).outputs
        return jnp.sum((outputs - jnp.asarray(TARGETS)) ** 2) / 2

    arrays = lambda tree: jax.tree.map(np.asarray, nnx.to_pure_dict(tree))  # noqa: E731
    return arrays(params), arrays(jax.jit(jax.grad(loss))(params))


def sigma(z):
    return np.tanh(z)


def slope(z):
    return 1 - np.tanh(z) ** 2


def same(found, expected):
    assert np.max(np.abs(expected)) > 1e-5
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


class Affine:
    """`y1 = y0 W + b`; the stem, the head, and projections between stages."""

    def __init__(self, linear):
        self.W, self.b = linear["kernel"], linear["bias"]

    def forward(self, y):
        self.y = y
        return y @ self.W + self.b

    def backward(self, lam, grads):
        same(grads["kernel"], self.y.T @ lam)
        same(grads["bias"], lam.sum(axis=0))
        return lam @ self.W.T


class Layer:
    """`y1 = y0 P + tau sigma(y0 W + b)`; without `P`, the identity."""

    def __init__(self, W, b, tau, P=None):
        self.W, self.b, self.tau, self.P = W, b, tau, P

    def forward(self, y):
        self.y, self.z = y, y @ self.W + self.b
        return (y if self.P is None else y @ self.P) + self.tau * sigma(self.z)

    def backward(self, lam):
        """`lam` before the layer, and the derivatives by `W`, `b`, `tau` and `P`."""
        through = slope(self.z) * lam
        before = (lam if self.P is None else lam @ self.P.T) + self.tau * through @ self.W.T
        dW, db = self.tau * self.y.T @ through, self.tau * through.sum(axis=0)
        return before, dW, db, np.sum(lam * sigma(self.z)), self.y.T @ lam


UNIT = {
    "kind": "unit",
    "field": {"kind": "mlp"},
    "shortcut": {"kind": "matrix", "learned": True},
    "step_sizes": {"kind": "learned"},
}


@pytest.mark.parametrize("parametrisation", ["free", "positive", "simplex", "remainder"])
def test_layers_between_two_widths_obey_the_adjoint_recursion(parametrisation):
    sizes = {"kind": "learned", "parametrisation": parametrisation, "horizon": 2.5}
    block = {"num_steps": 3, "step_sizes": sizes}
    stages = [{"width": 4}, {"width": 6, "projection": UNIT}]
    params, grads = gradients({"stages": stages, "block": block})
    stem, head = (
        Affine(params["projections"][0]["operation"]["linear"]),
        Affine(params["head"]["linear"]),
    )
    unit = params["projections"][1]["operation"]
    affine = unit["unit"]["branch"]["affine"][0]
    P = unit["unit"]["shortcut"]["projection"]["operation"]["kernel"]
    assert P.shape == (4, 6)
    between = Layer(affine["kernel"], affine["bias"], unit["step_sizes"]["raw"][0], P)
    blocks = [layers_of(params["blocks"][stage], parametrisation) for stage in range(2)]

    y = stem.forward(X)
    for layer in [*blocks[0], between, *blocks[1]]:
        y = layer.forward(y)
    lam = head.backward(head.forward(y) - TARGETS, grads["head"]["linear"])
    for stage in (1, 0):
        lam, dtaus = back_through(blocks[stage], lam, grads["blocks"][stage])
        raw = params["blocks"][stage]["step_sizes"]["raw"]
        same(grads["blocks"][stage]["step_sizes"]["raw"], dtaus @ taus_of(raw, parametrisation, 1))
        if stage == 1:
            found = grads["projections"][1]["operation"]
            lam, dW, db, dtau, dP = between.backward(lam)
            same(found["unit"]["branch"]["affine"][0]["kernel"], dW)
            same(found["unit"]["branch"]["affine"][0]["bias"], db)
            same(found["step_sizes"]["raw"], np.array([dtau]))
            same(found["unit"]["shortcut"]["projection"]["operation"]["kernel"], dP)
    stem.backward(lam, grads["projections"][0]["operation"]["linear"])


def taus_of(raw, parametrisation, derivative=0):
    """The step sizes, or the matrix of their derivatives by the parameters."""
    exp = np.exp(raw)
    if parametrisation == "positive":
        return np.diag(scipy.special.expit(raw)) if derivative else np.log1p(exp)
    if parametrisation == "simplex":
        share = exp / exp.sum()
        return 2.5 * (np.diag(share) - np.outer(share, share) if derivative else share)
    if parametrisation == "remainder":
        last = np.full((1, len(raw)), -1.0)
        return (
            np.vstack([np.eye(len(raw)), last]) if derivative else np.append(raw, 2.5 - raw.sum())
        )
    return np.eye(len(raw)) if derivative else raw


def layers_of(block, parametrisation):
    affine = block["weights"]["stacked"]["affine"][0]
    taus = taus_of(block["step_sizes"]["raw"], parametrisation)
    return [Layer(affine["kernel"][k], affine["bias"][k], tau) for k, tau in enumerate(taus)]


def back_through(layers, lam, grads):
    """`lam` before the block, and the derivatives by its step sizes."""
    dtaus = []
    found = grads["weights"]["stacked"]["affine"][0]
    for k, layer in reversed(list(enumerate(layers))):
        lam, dW, db, dtau, _ = layer.backward(lam)
        same(found["kernel"][k], dW)
        same(found["bias"][k], db)
        dtaus.insert(0, dtau)
    return lam, np.array(dtaus)


class Memory:
    r"""The fractional network: $d_n = c \tau_n^\gamma \sigma(z_n) - \sum_{j<n} a_{nj} d_j$.

    $y_{n+1} = y_n + d_n$ with $c = \Gamma(2 - \gamma)$ and
    $a_{nj} = \tau_n^\gamma / \tau_j\,(S_{j:n}^{1-\gamma} - S_{j+1:n}^{1-\gamma})$, where $S_{j:n}$
    is the sum of the steps from `j` to `n`.
    """

    def __init__(self, W, b, taus):
        self.W, self.b, self.taus, self.num = W, b, taus, len(taus)
        self.c = math.gamma(2 - GAMMA)

    def span(self, j, n):
        return sum(self.taus[j : n + 1])

    def a(self, n, j):
        fall = self.span(j, n) ** (1 - GAMMA) - self.span(j + 1, n) ** (1 - GAMMA)
        return self.taus[n] ** GAMMA / self.taus[j] * fall

    def da(self, n, j, k):
        """Derivative of `a` by step size `k`."""
        total = 0.0
        if k == n:
            total += GAMMA / self.taus[n] * self.a(n, j)
        if k == j:
            total -= self.a(n, j) / self.taus[j]
        factor = (1 - GAMMA) * self.taus[n] ** GAMMA / self.taus[j]
        if j <= k <= n:
            total += factor * self.span(j, n) ** -GAMMA
        if j + 1 <= k <= n:
            total -= factor * self.span(j + 1, n) ** -GAMMA
        return total

    def forward(self, y):
        self.y, self.z, self.d = [y], [], []
        for n, tau in enumerate(self.taus):
            self.z.append(self.y[n] @ self.W[n] + self.b[n])
            increment = self.c * tau**GAMMA * sigma(self.z[n])
            for j in range(n):
                increment = increment - self.a(n, j) * self.d[j]
            self.d.append(increment)
            self.y.append(self.y[n] + increment)
        return self.y[-1]

    def backward(self, lam, full):
        r"""$\mu_n = \lambda_{n+1} - \sum_{m>n} a_{mn} \mu_m$ is the derivative by $d_n$."""
        mu = [np.zeros_like(lam)] * self.num
        dW, db, dtaus = np.zeros_like(self.W), np.zeros_like(self.b), np.zeros(self.num)
        for n in reversed(range(self.num)):
            mu[n] = lam - sum((self.a(m, n) * mu[m] for m in range(n + 1, self.num)), 0.0)
            scale = self.c * self.taus[n] ** GAMMA
            through = scale * slope(self.z[n]) * mu[n]
            dW[n], db[n] = self.y[n].T @ through, through.sum(axis=0)
            dtaus[n] += GAMMA / self.taus[n] * scale * np.sum(mu[n] * sigma(self.z[n]))
            lam = lam + through @ self.W[n].T
        if full:
            for n in range(self.num):
                for j in range(n):
                    by_a = -np.sum(mu[n] * self.d[j])
                    dtaus += [by_a * self.da(n, j, k) for k in range(self.num)]
        return lam, dW, db, dtaus


@pytest.mark.parametrize("full", [True, False], ids=["full", "as_published"])
def test_networks_with_memory_obey_their_adjoint_recursion(full):
    block = {
        "num_steps": 4,
        "step_sizes": {"kind": "learned", "parametrisation": "positive"},
        "integrator": {"kind": "fractional", "gamma": GAMMA, "memory_gradient": full},
    }
    stages = [{"width": 4}, {"width": 3, "projection": {"kind": "linear"}}]
    params, grads = gradients({"stages": stages, "block": block})
    maps = [Affine(p["operation"]["linear"]) for p in params["projections"].values()]
    maps.append(Affine(params["head"]["linear"]))
    blocks = []
    for stage in range(2):
        affine = params["blocks"][stage]["weights"]["stacked"]["affine"][0]
        taus = taus_of(params["blocks"][stage]["step_sizes"]["raw"], "positive")
        blocks.append(Memory(affine["kernel"], affine["bias"], taus))
    y = X
    for projection, part in zip(maps, blocks, strict=False):
        y = part.forward(projection.forward(y))
    lam = maps[2].backward(maps[2].forward(y) - TARGETS, grads["head"]["linear"])
    for stage in (1, 0):
        lam, dW, db, dtaus = blocks[stage].backward(lam, full)
        found = grads["blocks"][stage]
        same(found["weights"]["stacked"]["affine"][0]["kernel"], dW)
        same(found["weights"]["stacked"]["affine"][0]["bias"], db)
        raw = params["blocks"][stage]["step_sizes"]["raw"]
        same(found["step_sizes"]["raw"], dtaus @ taus_of(raw, "positive", 1))
        lam = maps[stage].backward(lam, grads["projections"][stage]["operation"]["linear"])
