"""A comparison and a run as they lie on the disk, made up: nothing is trained here."""

import json
from pathlib import Path

from odenet.analysis.compare import REFERENCE_NAME, TRAINED

RESULTS = {
    "step": 40,
    "test": {"accuracy": 0.98, "loss": 0.05, "nfe": 8.0, "solver_ok": 1.0},
    "best_validation_score": 0.9625,
    "best_step": 30,
    "solver_failures": 0,
    "num_parameters": 38090,
    "step_seconds": 0.00057,
    "compile_seconds": 1.07,
    "evaluation_compile_seconds": 0.36,
    "peak_bytes": 1177064,
}
PROVENANCE = {
    "command": ["odenet", "compare", "experiments/made up.yaml"],
    "versions": {"python": "3.11.7", "odenet": "0.1.0"},
    "git_commit": "a49b6fc7d696",
    "device": "cpu",
    "num_devices": 1,
    "data_source": "made-up digits",
}


def row(network, way, accuracy, error, *, ok=True, loss=0.05, nfe=8.0):
    return {
        "trained_with": network, "evaluated_with": way, "accuracy": accuracy, "loss": loss,
        "parameters": 38090, "nfe": nfe, "solver_error": error, "solver_ok": ok,
        "step_seconds": 2.03e-4, "compile_seconds": 0.357,
    }  # fmt: skip


def verdict(network, said, change, under, compared):
    return {
        "network": network, "verdict": said, "threshold": 0.1, "largest_change": change,
        "under": under, "compared": compared,
    }  # fmt: skip


def comparison_values():
    """One network that is an ODE, one that is none, one that cannot be: all that can happen."""
    finer = ["rk4", "tsit5", REFERENCE_NAME]
    return {
        "experiment": "made_up",
        "criterion": "Ott et al. 2021, arXiv:2007.15386",
        "rows": [
            row("steady", TRAINED, 0.9811, 0.0554),
            row("steady", "coarse", 0.9583, None, loss=None, nfe=4.0),
            row("steady", "rk4", 0.9789, 7.5e-05, nfe=32.0),
            row("steady", "tsit5", 0.9777, 1.7e-07, nfe=216.0),
            row("steady", REFERENCE_NAME, 0.9766, 0.0, nfe=856.0),
            row("brittle", TRAINED, 0.9844, 0.0873),
            row("brittle", "coarse", 0.9444, 0.365),
            row("brittle", "rk4", 0.5122, 2.6e-04),
            row("brittle", "tsit5", 0.1033, 3.6e-07, ok=False),
            row("brittle", REFERENCE_NAME, 0.5011, 0.0),
            row("plain <&> $x$", TRAINED, 0.9755, None),
        ],
        "verdicts": [
            verdict("steady", "solver-independent", 0.0045, REFERENCE_NAME, finer)
            | {
                "loss": 0.0554,
                "furthest_loss": 0.5,
                "loss_under": "rk4",
                "solver_error": 0.02,
                "disagreements": ["loss"],
            },
            verdict("brittle", "depends on its solver", 0.4833, REFERENCE_NAME, finer[::2]),
            verdict("plain <&> $x$", "not an ODE", None, None, []),
        ],
        "networks": {
            "steady": {"directory": "networks/steady", **RESULTS, "taus": [[0.5, 0.5, 0.5]]},
            "brittle": {"directory": "networks/brittle", **RESULTS, "taus": [[0.6, 0.4, 0.7]]},
            "plain <&> $x$": {"directory": "networks/plain", **RESULTS, "taus": []},
        },
        "versions": {"python": "3.11.7", "odenet": "0.1.0"},
        "device": "cpu",
    }


def regression_values():
    values = comparison_values()
    for each in values["rows"]:
        each["accuracy"] = None
    for each in values["verdicts"]:
        each |= {"verdict": "not an ODE", "largest_change": None, "under": None, "compared": []}
        each.pop("disagreements", None)
    for each in values["networks"].values():
        each |= {"test": {"loss": 0.05, "nfe": 8.0}, "best_validation_score": -0.0625}
    return values


def write_run(path: Path, *, complete: bool = True) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("name: made_up\ndescription: A <made-up> run.\n")
    (path / "run.json").write_text(json.dumps(PROVENANCE))
    records = [{"step": 0, "split": "program", "compile_seconds": 1.5, "peak_bytes": 1 << 20}]
    records += [
        {"step": step, "split": split, "loss": 2.0 / step, "accuracy": 1 - 1 / step}
        for step in range(10, 41, 10)
        for split in ("train", "validation")
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    if complete:
        (path / "results.json").write_text(json.dumps(RESULTS))
    return path


def write_comparison(path: Path, values) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("name: made_up\ndescription: Is <this> an ODE?\nseed: 0\n")
    for network in values["networks"].values():
        write_run(path / network["directory"])
    (path / "comparison.json").write_text(json.dumps(values))
    return path
