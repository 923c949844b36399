"""`odenet compare`: train several networks and evaluate each by every solver."""

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
    """Train the networks of a comparison and evaluate each by every solver: is it an ODE?"""
    from odenet.cli.finish import finish_comparison
    from odenet.cli.output import progress_console
    from odenet.experiment.compare import compare
    from odenet.experiment.config import load_config
    from odenet.experiment.directory import default_directory

    config = load_config(file, overrides or [], environment)
    directory = out or default_directory(config.name)
    compare(config, directory, data_dir, progress_console(quiet or json))
    finish_comparison(directory, json)
