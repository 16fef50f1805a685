"""The command line of the panoptic task."""

from __future__ import annotations

from typing import Annotated

import typer

from autopanoptic.nas.cli import EXPECTED
from autopanoptic.panoptic.compare import commands as comparing
from autopanoptic.panoptic.data.converters.cli import app as prepare_app
from autopanoptic.panoptic.export.command import export
from autopanoptic.panoptic.pretraining import commands as pretraining
from autopanoptic.panoptic.report.command import import_log, report
from autopanoptic.panoptic.run import commands as stages
from autopanoptic.panoptic.run.choice import settings_of
from autopanoptic.panoptic.run.joining import join
from autopanoptic.panoptic.run.options import Changes, Config, Data, Imports, Quick, described
from autopanoptic.panoptic.trained import commands

app = typer.Typer(help="Panoptic segmentation: the joint search of a whole network.", no_args_is_help=True)
config_app = typer.Typer(help="Configs: what a run is made of, as YAML.", no_args_is_help=True)
app.command()(stages.run)
# Without one of the data sets that it converts it is a stage of a run.
app.add_typer(prepare_app, name="prepare", callback=stages.prepare, invoke_without_command=True, no_args_is_help=False)
app.command()(stages.train_supernet)
app.command()(stages.search)
app.command()(stages.retrain)
app.command()(described(comparing.compare, comparing.OPTIONS))
app.command()(commands.evaluate)
app.command()(commands.predict)
app.command()(export)
app.command()(pretraining.pretrain_supernet)
app.command()(pretraining.pretrain)
app.command()(report)
app.command()(import_log)
app.add_typer(config_app, name="config")


@app.callback()
def _task(context: typer.Context) -> None:
    """Panoptic segmentation: the joint search of a whole network."""
    try:
        join(context)
    except EXPECTED as error:
        stages.fail(context, error)


@config_app.command()
def show(
    context: typer.Context,
    section: Annotated[str | None, typer.Argument(help="Show this key alone, such as search or data.scenes.")] = None,
    config: Config = None,
    changes: Changes = None,
    quick: Quick = False,
    data: Data = None,
    imports: Imports = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say above each key what it means.")] = False,
) -> None:
    """Print every key of a config with its value, as YAML that --config reads."""
    from autopanoptic.panoptic.configs.text import text_of

    try:
        settings = settings_of({"config": config, "changes": changes, "quick": quick, "data": data, "imports": imports})
        typer.echo(text_of(settings, section, explain=explain), nl=False)
    except EXPECTED as error:
        stages.fail(context, error)


@config_app.command("parts")
def list_parts(context: typer.Context, imports: Imports = None) -> None:
    """Print the parts of the network that a config may name: those that ship, and those of --import."""
    from autopanoptic.panoptic.model.parts.imports import import_modules
    from autopanoptic.panoptic.model.parts.registry import described

    try:
        import_modules(imports or ())
    except EXPECTED as error:
        stages.fail(context, error)
    for line in described():
        typer.echo(line)


@config_app.command("list")
def list_configs() -> None:
    """Print the configs that ship, and what they are for."""
    from autopanoptic.panoptic.configs.layers import shipped
    from autopanoptic.panoptic.configs.text import title_of

    width = max(map(len, shipped()))
    for name in shipped():
        typer.echo(f"{name:{width}}  {title_of(name)}")
