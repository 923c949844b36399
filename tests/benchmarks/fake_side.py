"""Sides whose times and results the tests know."""

import dataclasses
import os
import sys

import numpy as np

from benchmarks.declaration import Probe, Table, Work


def build(settings, double):
    if settings.get("broken") == "build":
        raise ValueError("this side cannot be built")
    state = {"steps": 0}

    def step():
        state["steps"] += 1
        if settings.get("broken") == "step":
            raise FloatingPointError("this side breaks at its first step")
        return settings["seconds"] * (10 if state["steps"] == 1 else 1)

    def probe():
        dtype = np.float64 if double else np.float32
        arrays = {"w": np.full((2, 3), settings.get("gradient", 1.0), dtype)}
        return Probe({"loss": np.ones((), dtype)}, arrays, arrays)

    def facts():
        told = {"peak_bytes": settings["bytes"], "process": os.getpid()}
        if settings.get("jax"):
            told["double"] = sys.modules["jax"].numpy.zeros(()).dtype == np.float64
        return told

    if settings.get("jax"):
        import jax.numpy  # noqa: F401

    return Work(step, facts=facts, probe=probe)


def survey(settings):
    return [Table("a table", ["size", "step (s)"], [[settings["size"], 0.5]], "A note.")]


def one_table():
    return dataclasses.asdict(survey({"size": 3})[0])
