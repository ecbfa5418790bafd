"""Files that are written whole or not at all."""

import pytest

from barrage_mlflow.files import written_whole


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with written_whole(path) as partial:
        partial.write_text("new")
        assert (path.read_text(), partial.suffix) == ("old", ".txt")

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_stays_as_it_was_if_writing_breaks(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt, match="now"), written_whole(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise KeyboardInterrupt("now")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
