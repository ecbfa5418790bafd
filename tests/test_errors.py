"""What messages show of an error."""

from __future__ import annotations

import pickle

import pytest

from barrage_mlflow.errors import ConfigError, Fault, TrackingError, describe_error, hide_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:secret@host:5000/a", "http://host:5000/a"),
        ("https://secret@host/a", "https://host/a"),
        ("postgresql://ann:s@cret@host/db", "postgresql://host/db"),
        ("simplecache::https://ann:secret@host/a", "simplecache::https://host/a"),
        ("mssql+pyodbc://host/db?driver=X;PWD=secret", "mssql+pyodbc://host/db?…"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3Dsecret", "mssql+pyodbc:///?…"),
        ("postgresql://host/db?password=secret (closed)", "postgresql://host/db?… (closed)"),
        ("url: /a.csv?version=3&X-Amz-Signature=secret", "url: /a.csv?…"),
        ("no 'https://host/a.csv?sig=secret' there", "no 'https://host/a.csv?…' there"),
        ("https://host/a.csv?version=3", "https://host/a.csv?version=3"),
        ("abfss://box@account/a", "abfss://box@account/a"),
        ("did you mean 'key'? key=3", "did you mean 'key'? key=3"),
        ("databricks", "databricks"),
    ],
)
def test_what_gives_access_is_hidden(text: str, shown: str) -> None:
    assert hide_secrets(text) == shown
    assert str(TrackingError(text)) == shown
    foreign = OSError(text)
    foreign.add_note(text)
    assert describe_error(foreign) == f"OSError: {shown}\n{shown}"


def test_a_config_error_comes_whole_from_another_process() -> None:
    error = ConfigError([Fault("$.model", "missing"), Fault("$.solver", "not an object")])
    error.add_note("so process 1 of 2 found it")
    there = pickle.loads(pickle.dumps(error))
    assert (str(there), there.faults) == (str(error), error.faults)
    assert there.__notes__ == error.__notes__
