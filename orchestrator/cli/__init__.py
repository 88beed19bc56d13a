"""The command line: one file a command, imported when it is run; one place for exit codes.

Exit codes: 0 good; 1 the thing checked is bad; 2 wrong usage: an option or argument, or the
variable that stands for it, has not its form or does not go with the others; 3 the environment
failed: a file, server, package or secret is not there or cannot be used, or a variable without an
option is wrong.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping

import click

from orchestrator._version import __version__
from orchestrator.errors import EnvironmentFailure, OrchestratorError, UserError
from orchestrator.logs import logging_set_up

__all__ = ["BAD", "COMMANDS", "FAILED", "GOOD", "USAGE", "main"]

GOOD, BAD, USAGE, FAILED = 0, 1, 2, 3

#: Commands in the order of `--help`: name -> (module, attribute, first line of its help).
COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("init", "write a commented starter config with its call test"),
    "validate": ("validate", "check configs and report every mistake"),
    "explain": ("explain", "what a config does: hooks, waits, capabilities"),
    "explain-code": ("explain_code", "what a finding's code means and how to mend it"),
    "run": ("run", "play call scripts or recorded calls through a config"),
    "console": ("console", "be the caller, at the keyboard"),
    "serve": ("serve", "answer phone calls over ConversationRelay (Twilio, Telnyx)"),
    "test": ("test", "run call tests"),
    "replay": ("replay", "play recorded calls and say what changes"),
    "journal": ("journal", "read the record of a call"),
    "deliver": ("deliver", "send what waits in the outbox, without taking calls"),
    "deliveries": ("deliveries", "look into the outbox, send dead letters again, clear up"),
    "actions": ("actions", "list actions with their manuals"),
    "schema": ("schema", "print the JSON Schema for editors"),
}


class _Commands(click.Group):
    """Commands that are imported when they are asked for: a start costs what it needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"orchestrator.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from orchestrator.events import near_miss

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = near_miss(args[0], COMMANDS)
            hint = f"; did you mean {near!r}?" if near else ""
            ctx.fail(f"no such command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="orchestrator")
def group() -> None:
    """Hooks for voice agents as one YAML file.

    Start with `orchestrator init`, then `orchestrator validate` and `orchestrator test`.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit; the one place where errors become exit codes."""
    _find_modules_here()
    try:
        with logging_set_up({"ORCHESTRATOR_LOG_LEVEL": "warning", **os.environ}, sys.stderr):
            code = group.main(args, prog_name="orchestrator", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(BAD)
    except EnvironmentFailure as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(FAILED)
    except OrchestratorError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(BAD)
    except BrokenPipeError:  # `orchestrator ... | head`
        sys.stderr.close()
        sys.exit(GOOD)
    sys.exit(code if isinstance(code, int) else GOOD)


def _find_modules_here() -> None:
    """Let `plugins:` and `python:` name modules of the current folder, as `python -m` does.

    Behind all others, so that nothing there hides a module of ours.
    """
    try:
        folder = os.getcwd()
    except OSError:  # it was removed
        return
    if folder not in sys.path:
        sys.path.append(folder)
