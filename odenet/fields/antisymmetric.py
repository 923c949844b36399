"""Fields with an antisymmetric linear map: no eigenvalue has a positive real part."""

from typing import Literal

from flax import nnx
from pydantic import NonNegativeFloat, model_validator

from odenet.arrays import State, Time
from odenet.fields.activations import ActivationName, activation, require_small_start
from odenet.fields.base import VectorField
from odenet.fields.initialisers import InitialiserName
from odenet.fields.stable import StableFieldConfig, TimeBias, refuse_non_monotone
from odenet.fields.transposed import apply_kernel, init_kernel, transpose_kernel


class AntisymmetricField(VectorField):
    r"""$f(t, h) = \sigma(\frac12 (K - K^T - \gamma I) h + b + t v)$.

    Haber and Ruthotto 2017, arXiv:1705.03341, eq. 4.12. The Jacobian is
    $\frac12 D (K - K^T - \gamma I)$ with $D = \mathrm{diag}\,\sigma' \ge 0$: no eigenvalue has a
    positive real part. Where $\sigma' = 1$, the eigenvalues are $(-\gamma \pm i \mu) / 2$, with
    $\pm i \mu$ the eigenvalues of $K - K^T$; explicit Euler is then stable for steps of at most
    $4 \gamma / (\gamma^2 + \mu^2)$.

    Args:
        width: Width of the vectors, or channels of the images.
        side: Side of the kernels of a convolution, odd; None on vectors.
        gamma: Damping, not negative.
        activation_name: Name of a non-decreasing activation.
        takes_time: Whether the bias has weights `v` for the time.
        init: Name of the initialiser of `K`.
        rngs: Random keys.
    """

    def __init__(
        self,
        width: int,
        side: int | None,
        gamma: float,
        activation_name: ActivationName,
        takes_time: bool,
        init: InitialiserName = "lecun_normal",
        *,
        rngs: nnx.Rngs,
    ):
        self.gamma = gamma
        self.activation_name: ActivationName = activation_name
        self.kernel = init_kernel(width, width, side, init, rngs=rngs)
        self.bias = TimeBias(width, width * (side or 1) ** 2, takes_time, init, rngs=rngs)

    def last_weights(self) -> list[nnx.Param]:
        """The weights of the map, including those of the time input."""
        time = self.bias.time
        return [self.kernel, *([] if time is None else [time.kernel])]

    def __call__(self, t: Time, h: State) -> State:
        """dh/dt at `(t, h)`, of the shape of `h`."""
        kernel = self.kernel[...]
        rotated = apply_kernel((kernel - transpose_kernel(kernel)) / 2, h)
        sigma = activation(self.activation_name)
        return sigma(rotated - self.gamma / 2 * h + self.bias(t, h.ndim))


class AntisymmetricFieldConfig(StableFieldConfig):
    """sigma((K - K^T - gamma I) h / 2 + b): rotations, and damping by gamma."""

    kind: Literal["antisymmetric"] = "antisymmetric"
    gamma: NonNegativeFloat = 0.0
    """Damping. At 0, explicit Euler amplifies every rotation for any step size; use another
    integrator then, for example `rk4`."""

    @model_validator(mode="after")
    def _stays_stable_and_starts_small(self):
        refuse_non_monotone(self.kind, self.activation)
        ends, fix = f"field kind={self.kind}", "activation=tanh, or last_init=unscaled"
        require_small_start(ends, self.activation, self.last_init, fix)
        if self.last_init != "unscaled" and self.gamma > 0:
            raise ValueError(
                f"last_init={self.last_init} would not make the field small: it acts on K, and the "
                f"damping gamma={self.gamma} stays; use gamma=0 or last_init=unscaled"
            )
        return self

    def init_field(
        self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs
    ) -> AntisymmetricField:
        """Make the field of one of `depth` layers for states of `shape`."""
        return AntisymmetricField(
            shape[-1],
            self.side(shape),
            self.gamma,
            self.activation,
            takes_time,
            self.init,
            rngs=rngs,
        )
