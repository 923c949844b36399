"""Examples for the help pages of the commands."""

import typer

_EXAMPLES = {
    "run": (
        "odenet run experiments/quickstart.yaml training.num_steps=300 model.block.integrator=rk4",
    ),
    "compare": ("odenet compare experiments/quickstart.yaml --out runs/comparison",),
    "resume": ("odenet resume runs/quickstart-1",),
    "eval": (
        "odenet eval runs/quickstart-1 model.block.integrator=diffrax",
        "odenet eval runs/quickstart-1 --step-factor 0.5",
    ),
    "import": ("odenet import resnet20.pt --arch resnet20 --out runs/imported",),
    "names": ("odenet names --arch resnet20", "odenet names --file resnet20.pt"),
    "export": ("odenet export runs/quickstart-1 weights.safetensors",),
    "prune": ("odenet prune runs/quickstart-1 --fraction 0.02",),
    "refine": ("odenet refine runs/quickstart-1 --factor 2 --out runs/refined",),
    "report": ("odenet report runs/quickstart-1",),
    "list": ("odenet list integrator", "odenet list training"),
    "explain": (
        "odenet explain training.optimizer.warmup_steps",
        "odenet explain model.block.integrator.diffrax",
    ),
    "schema": ("odenet schema --out experiments/schema.json",),
    "doctor": ("odenet doctor --data-dir ~/data",),
    "data": ("odenet data fetch mnist",),
    "data fetch": ("odenet data fetch cifar10 --data-dir ~/data",),
    "data check": ("odenet data check mnist cifar10",),
    "analyse": ("odenet analyse gradient-flow runs/quickstart-1",),
    "analyse all": ("odenet analyse all runs/quickstart-1",),
}


def give_examples(app: typer.Typer, group: str = "") -> None:
    """Add examples at the end of the help page of every command of an application."""
    for command in app.registered_commands:
        command.epilog = _epilog(f"{group} {command.name}".strip())
    for inner in app.registered_groups:
        name = f"{group} {inner.name}".strip()
        inner.epilog = _epilog(name)
        if inner.typer_instance is not None:
            give_examples(inner.typer_instance, name)


def _epilog(name: str) -> str:
    examples = _EXAMPLES.get(name, (f"odenet {name} runs/quickstart-1",))
    return "\n\n".join(["Examples:" if len(examples) > 1 else "Example:", *examples])
