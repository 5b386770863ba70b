"""The command line: what `hilum` is called with, and how it ends (public: docs/commands.md)."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import hilum
from hilum import waiting
from hilum.commands import data, models, text
from hilum.errors import HilumError
from hilum.study import DISCLAIMER

app = typer.Typer(
    name="hilum", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help=f"Chest X-rays to draft radiology reports. {DISCLAIMER}",
)  # fmt: skip
app.add_typer(data.app, name="data")


def main() -> None:
    """Entry point: 0 done, 2 the user can mend it (one line on standard error), 130 interrupted."""
    waiting.asleep()
    try:
        status = app(standalone_mode=False) or 0
    except HilumError as error:
        _fail(str(error))
    except (
        FileNotFoundError,
        IsADirectoryError,
        NotADirectoryError,
        PermissionError,
        FileExistsError,
    ) as error:
        _fail(f"{error.filename}: {error.strerror}")
    except OSError as error:
        _fail(f"{error.filename or 'the operating system says'}: {error.strerror or error}")
    except KeyboardInterrupt:
        status = 130
    except Exception as error:
        # what Typer raises of words that it does not know; the class has no name that all its versions share
        told = getattr(error, "format_message", None)
        if told is None:
            raise
        if said := str(told()).rstrip("."):
            context = getattr(error, "ctx", None)
            _fail(f"{said}; see `{context.command_path if context else 'hilum'} --help`")
        status = 2  # no command was named: the help has been shown
    if status == 130:
        typer.echo("hilum: interrupted", err=True)
    sys.exit(status)


def _fail(message: str) -> None:
    typer.echo(f"hilum: error: {message}", err=True)
    sys.exit(2)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"hilum {hilum.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say and leave.")
    ] = False,
) -> None:
    """Options before the command."""


for command in (
    models.demo,
    models.train,
    models.combine,
    models.evaluate,
    models.report,
    text.label,
    text.score,
    text.vectors,
    text.summarise,
    models.doctor,
):
    app.command()(command)

if __name__ == "__main__":
    main()
