"""Writes the reference page of the command line, docs/cli.md, from the commands themselves.

At the top of the repository: ``python -m tools.cli_page``; a test compares.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click

from barrage_mlflow.cli import main

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

_HEAD = """<!-- Generated from barrage_mlflow/cli; change that folder, then run
     python -m tools.cli_page -->

# Command line
"""
_ALL = (
    "`barrage-mlflow COMMAND --help` shows the same.\n\n"
    "Exit status: 0 all is well; 1 `check` found faults, `diff` and `reproduce` differences, or "
    "`promote` a version that is worse; 2 anything else that went wrong; 130 interrupted. Messages "
    "go to standard error. `--json` puts one object in the place of the answer. Colours are for "
    "terminals, and not where `NO_COLOR` is set."
)


def render() -> str:
    """Writes the page, as Markdown."""
    parts = [_HEAD, _ALL]
    for name, command in sorted(main.commands.items()):
        context = click.Context(command, info_name=name)
        usage = " ".join(command.collect_usage_pieces(context))
        parts += [f"## {name}", f"```\nbarrage-mlflow {name} {usage}\n```"]
        parts.append(_plain(command.help or ""))
        options = [p for p in command.params if isinstance(p, click.Option)]
        if options:
            rows = [_row(option, context) for option in options]
            parts.append("\n".join(["| option | |", "|---|---|", *rows]))
        example = (command.epilog or "").partition("Example:\n")[2].strip()
        if example:
            parts.append(f"```bash\n{example}\n```")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _row(option: click.Option, context: click.Context) -> str:
    shown, text = option.get_help_record(context) or ("", "")
    # Two in brackets would be a link.
    cells = (shown, " ".join(text.split()).replace("] [", ", "))
    return "| `{}` | {} |".format(*(cell.replace("|", "\\|") for cell in cells))


def _plain(text: str) -> str:
    """Paragraphs of a help text, each on one line."""
    paragraphs = inspect.cleandoc(text).replace("\b\n", "").split("\n\n")
    return "\n\n".join(re.sub(r"\s*\n\s*", " ", paragraph) for paragraph in paragraphs)


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
