"""`odenet run`: train one experiment."""

from odenet.cli.options import DataDir, Environment, ExperimentFile, Json, Out, Overrides, Quiet


def command(
    file: ExperimentFile,
    overrides: Overrides = None,
    out: Out = None,
    environment: Environment = False,
    data_dir: DataDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train an experiment into a new run directory."""
    from odenet.cli.finish import finish_run
    from odenet.cli.output import progress_console
    from odenet.experiment.config import load_config
    from odenet.experiment.directory import default_directory
    from odenet.experiment.run import run

    config = load_config(file, overrides or [], environment)
    directory = out or default_directory(config.name)
    trained = run(config, directory, data_dir, progress_console(quiet or json))
    finish_run(trained.directory, trained.results, json)
