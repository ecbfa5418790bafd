"""Values of the config on the command line: ``--solver.epochs 3``."""

from __future__ import annotations

import re

import click

_RESUME = re.compile("auto|[0-9a-f]{32}")


class CommandWithOverrides(click.Command):
    """A command that takes a value of the config at any place: ``--section.key VALUE``.

    It is called with them as ``overrides``, by dotted path.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the overrides out, and leave the rest to click."""
        overrides, args = split_overrides(args)
        # The value may be left out, and what comes next is then an argument.
        following = zip(args, [*args[1:], ""], strict=True)
        args = [
            "--resume=folder" if arg == "--resume" and not _RESUME.fullmatch(after) else arg
            for arg, after in following
        ]
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"no option {error.option_name}; config values are set with --section.key VALUE, "
                "such as --solver.epochs 3"
            ) from None
        ctx.params["overrides"] = overrides
        return rest


def split_overrides(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Take ``--section.key VALUE`` and ``--section.key=VALUE`` out of a command's arguments.

    Args:
        arguments: all of them.

    Returns:
        The values by dotted path, and the other arguments.

    Example:
        >>> split_overrides(["--solver.epochs", "3", "config.json", "--dataset.seed=7"])
        ({'solver.epochs': '3', 'dataset.seed': '7'}, ['config.json'])
    """
    values, others = {}, []
    rest = iter(arguments)
    for argument in rest:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or "." not in key:
            others.append(argument)
            continue
        if not equals:
            following = next(rest, None)
            if following is None:
                raise click.UsageError(f"--{key} has no value; write --{key} VALUE")
            value = following
        values[key] = value
    return values, others
