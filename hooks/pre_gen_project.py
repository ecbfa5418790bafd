"""After the questions: refuses an answer from which no working project could be made.

One line on standard error has what to write instead; cookiecutter then removes the folder.
"""

from __future__ import annotations

import json
import keyword
import re
import sys

# Rendered: the answers as JSON, which never has three quotes in a row.
ANSWERS = r"""<< cookiecutter | jsonify >>"""

LONGEST_NAME = 40

# The project's own folders, and the Python files that tools look for beside them.
FOLDERS = {
    *("artifacts", "build", "conftest", "data", "dist", "mlruns", "model", "notebooks"),
    *("reports", "tests"),
}

# What is installed beside the project, all it needs included, under the names it is imported by.
INSTALLED = set(
    """
    absl aiohappyeyeballs aiohttp aiosignal alembic annotated_doc annotated_types anyio
    astunparse attr attrs barrage barrage_mlflow blinker cachetools certifi cffi cfgv
    charset_normalizer clang click cloudpickle colorama colorlog contourpy cookiecutter cruft
    cryptography cycler databricks dateutil distlib docker dotenv exceptiongroup fastapi
    filelock flask flask_cors flatbuffers frozenlist fsspec gast git gitdb google graphene
    graphql graphql_relay grpc gunicorn h11 h5py huey hypothesis identify idna
    importlib_metadata iniconfig itsdangerous jinja2 joblib jsonschema
    jsonschema_specifications keras kiwisolver mako markdown markdown_it markupsafe matplotlib
    mdurl ml_dtypes mlflow mpl_toolkits multidict namex narwhals nodeenv numpy opentelemetry
    opt_einsum optree optuna packaging pandas pasta pillow pip pkg_resources platformdirs
    pluggy pre_commit prettytable propcache py pyarrow pyasn1 pyasn1_modules pycparser
    pydantic pydantic_core pygments pylab pyparsing pytest python_discovery pywin32
    referencing requests rich rpds ruff scipy setuptools six sklearn skops smmap sqlalchemy
    sqlparse starlette tensorboard tensorboard_data_server tensorflow termcolor tf
    threadpoolctl tomli tqdm typing_extensions typing_inspection tzdata urllib3 uv uvicorn
    uvloop virtualenv wcwidth werkzeug wheel wrapt yaml yarl zipp
    """.split()  # noqa: SIM905 - as a list of words it would be no page but three
)

# Templates are rendered again when a project is updated, its answers too.
TAGS = ["<" * 2, "<" + "%", "<" + "#"]


def find_fault(answers: dict[str, str]) -> str | None:
    """Return what is wrong with the answers, in one line; None if nothing is."""
    project = answers["project"]
    if fault := find_name_fault(project):
        return f"project: {project!r} {fault}; write for example {suggest_name(project)!r}"
    for question in ("description", "author"):
        answer = answers[question]
        if not answer.strip() or not answer.isprintable():
            return f"{question}: {answer!r} is not one line of text; write one, without tabs"
        if found := [tag for tag in TAGS if tag in answer]:
            return f"{question}: leave out {found[0]!r}, which the template takes for a tag"
    return None


def find_name_fault(name: str) -> str | None:
    """Return why no Python package of this name can be made here; None if one can."""
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "is a keyword of Python"
    if not re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", name):
        return (
            "is no name for a Python package: two or more of a-z, 0-9 and _, "
            "a letter first and no _ last"
        )
    if len(name) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} characters"
    if name in sys.stdlib_module_names:
        return "is a module of Python's standard library"
    if name in INSTALLED:
        return "is a package that the project needs"
    if name in FOLDERS:
        return "is a name that the project uses itself"
    return None


def suggest_name(name: str) -> str:
    """Make a name that is allowed, as near to the given one as can be."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    words = re.sub(r"[^a-z0-9]+", "_", words).strip("_0123456789") if words.isascii() else ""
    near = words[:LONGEST_NAME].strip("_")
    for candidate in (near, f"{near[: LONGEST_NAME - 8]}_project"):
        if find_name_fault(candidate) is None:
            return candidate
    return "my_project"


def main() -> None:
    """End with the one line, if there is a fault."""
    if fault := find_fault(json.loads(ANSWERS)):
        sys.exit(fault)


if __name__ == "__main__":
    main()
