"""Every fixed-step method of the package, with the order that the literature gives it."""

from odenet.integrators import DiffraxConfig, ExplicitConfig, TableauConfig

KUTTA_3 = TableauConfig(a=((), (1 / 2,), (-1.0, 2.0)), b=(1 / 6, 2 / 3, 1 / 6))
THREE_EIGHTHS = TableauConfig(
    a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)), b=(1 / 8, 3 / 8, 3 / 8, 1 / 8)
)


def fixed_diffrax(solver: str, **options) -> DiffraxConfig:
    """A diffrax solver that takes the steps of the grid."""
    return DiffraxConfig.model_validate(
        {"solver": solver, "controller": {"kind": "constant"}, **options}
    )


def adaptive_diffrax(solver: str, tolerance: float, **options) -> DiffraxConfig:
    """A diffrax solver that chooses its own steps for `tolerance`, relative and absolute."""
    return DiffraxConfig.model_validate(
        {"solver": solver, "controller": {"rtol": tolerance, "atol": tolerance}, **options}
    )


EXPLICIT = {
    "euler": (ExplicitConfig(kind="euler"), 1),
    "midpoint": (ExplicitConfig(kind="midpoint"), 2),
    "heun": (ExplicitConfig(kind="heun"), 2),
    "ralston": (ExplicitConfig(kind="ralston"), 2),
    "rk4": (ExplicitConfig(kind="rk4"), 4),
    "kutta_3": (KUTTA_3, 3),
    "three_eighths": (THREE_EIGHTHS, 4),
}
DIFFRAX_ORDERS = {
    "euler": 1,
    "midpoint": 2,
    "heun": 2,
    "ralston": 2,
    "bosh3": 3,
    "tsit5": 5,
    "dopri5": 5,
    "dopri8": 8,
}
IMPLICIT_ORDERS = {"implicit_euler": 1, "kvaerno3": 3, "kvaerno4": 4, "kvaerno5": 5}
SOLVED = {"rtol": 1e-9, "atol": 1e-9, "max_iterations": 30}
"""How the equations of implicit methods are solved, for errors far below those of the method."""
DIFFRAX = {
    f"diffrax_{solver}": (fixed_diffrax(solver), order) for solver, order in DIFFRAX_ORDERS.items()
}
IMPLICIT = {
    f"diffrax_{solver}": (fixed_diffrax(solver, root_finder=SOLVED), order)
    for solver, order in IMPLICIT_ORDERS.items()
}
FIXED_STEP = EXPLICIT | DIFFRAX
