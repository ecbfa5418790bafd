"""A page of HTML that holds reports whole, with their pictures, so that it can be mailed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import unquote

from barrage_mlflow.files import written_whole

PAGE = "report.html"

_STYLE = """
:root { color-scheme: light dark; --text: #1f2937; --back: #fff; --line: #e5e7eb; --soft: #f9fafb }
@media (prefers-color-scheme: dark) {
  :root { --text: #e5e7eb; --back: #111827; --line: #374151; --soft: #1f2937 }
}
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: var(--text);
  background: var(--back); font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
nav a { margin-right: 1rem; color: inherit }
section + section { margin-top: 4rem; border-top: 3px solid var(--line) }
table { display: block; overflow-x: auto; border-collapse: collapse; font-size: .9rem;
  font-variant-numeric: tabular-nums }
th, td { padding: .25rem .7rem; border: 1px solid var(--line); text-align: left }
th { background: var(--soft) }
img { max-width: 100%; border-radius: 4px; background: #fff }
code { padding: .1rem .3rem; background: var(--soft) }
"""


def write_page(reports: Sequence[Path], target: Path, title: str) -> None:
    """Write reports as one page that needs no other file and nothing from elsewhere.

    Args:
        reports: files of Markdown, each in a folder with its pictures.
        target: the page.
        title: of the page.

    Raises:
        OSError: a report cannot be read, or the page not be written.
    """
    names = [report.parent.name for report in reports]
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in names)
    sections = [
        f'<section id="{escape(name)}">\n{_to_html(report)}</section>\n'
        for name, report in zip(names, reports, strict=True)
    ]
    html = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n"
        f"{f'<nav>{links}</nav>' if len(names) > 1 else ''}\n{''.join(sections)}</html>\n"
    )
    with written_whole(target) as partial:
        partial.write_text(html, "utf-8")


def _to_html(report: Path) -> str:
    # It takes a moment to import, which no other command is to wait for.
    from markdown_it import MarkdownIt

    # Tags that stand in a cell of the data are shown, not taken for tags.
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(report.read_text("utf-8"))
    for image in (child for token in tokens for child in token.children or ()):
        if image.type == "image":
            image.attrs["src"] = _embedded(report.parent, str(image.attrs["src"]))
    return str(parser.renderer.render(tokens, parser.options, {}))


def _embedded(folder: Path, source: str) -> str:
    """A picture of a report's folder as the page holds it; another one remains where it is."""
    path = (folder / unquote(source)).resolve()
    if path.suffix != ".png" or not path.is_relative_to(folder.resolve()):
        return source
    return f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"
