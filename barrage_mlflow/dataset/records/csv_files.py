"""Reads CSV files in blocks of whole records; a file that is read at once is all of its blocks.

A block becomes numbers and truth values where every cell of a column in it is one in JSON's
spelling, and strings as they are spelt otherwise.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
from typing import IO, Any

import numpy as np

from barrage_mlflow.dataset.records.column_kinds import WORDS, Schema
from barrage_mlflow.dataset.records.files import (
    UNREADABLE,
    WANTED,
    no_records,
    open_file,
    reading,
    share_read,
)
from barrage_mlflow.dataset.records.sources import Chunk, check_names
from barrage_mlflow.dataset.records.values import EXACT
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import RecordError

_FIRST = 1 << 16
"""Bytes in the first block, so that little is read where little is wanted."""
_BLOCK = 1 << 22
"""Bytes in a block, at most, but for a record that is longer: more at once take longer."""
_CACHED = 1 << 17
"""Bytes that are looked at together: with what is made of them, they stay in a core's cache."""
_MARKS = {rb"PAR1\x15": "Parquet", rb"\[?\{": "JSON", rb"(?i)<!|<html[\s>]": "HTML"}
_BYTES = "surrogateescape"
"""Takes bytes that are no text for characters of their own, and back."""
_TRUE, _FALSE = ["true", "True", "TRUE"], ["false", "False", "FALSE"]


def csv_chunks(source: str, schema: Schema, spelt: Sequence[str] | None = None) -> Iterator[Chunk]:
    """The records of a file, block by block.

    Args:
        source: a path, or a URL that fsspec opens.
        schema: which columns are taken as they are spelt, and how the file is written.
        spelt: read these columns alone, as they are spelt.

    Raises:
        RecordError: the file is empty, or no CSV as the schema has it.
    """
    # Imported late, since pyarrow takes long to load.
    from barrage_mlflow.dataset.records.arrow import whole

    handle, file = open_file(source)
    with reading(source, "CSV"), handle:
        blocks = _blocks(_decoded(handle, schema))
        first = _first(blocks)
        names, sep = _header(source, first, schema)
        texts = {n for n in names if n in schema.columns and schema.columns[n].is_spelt}
        parse = partial(_parse, source, sep, schema, spelt, texts if spelt is None else spelt)
        rest = _two_at_once(partial(parse, names), blocks)
        for table in chain([parse(None, first)], rest):
            cells = {name: whole(table[name]) for name in table.column_names}
            yield Chunk(cells, len(table), share_read(file))


def _two_at_once(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """What a function makes of items, in their order; a second thread is one item ahead."""
    with ThreadPoolExecutor(2) as pool:
        made: deque[Future[Any]] = deque()
        for item in items:
            made.append(pool.submit(function, item))
            if len(made) > 2:
                yield made.popleft().result()
        while made:
            yield made.popleft().result()


def _decoded(handle: IO[bytes], schema: Schema) -> Any:
    """What reads a file as UTF-8."""
    encoding = schema.csv.get("encoding", "utf-8")
    if encoding.lower() in ("utf-8", "utf8"):
        return handle.read
    text = io.TextIOWrapper(handle, encoding, newline="")
    return lambda size: text.read(size).encode()


def _blocks(read: Any) -> Iterator[bytes | memoryview]:
    """The bytes of a file in whole records."""
    held, size = b"", _FIRST
    while part := read(size):
        held += part
        end = _end_of_records(held)
        if end:
            yield memoryview(held)[:end]
            held = held[end:]
        size = min(8 * size, _BLOCK)
    if held:
        yield held


def _first(blocks: Iterator[bytes | memoryview]) -> bytes:
    """The first block, from its header on."""
    return bytes(next(blocks, b"")).removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")


def _end_of_records(data: bytes) -> int:
    """Where the last line break outside quotes ends; 0 if there is none."""
    end = data.rfind(b"\n")
    quotes = data.count(b'"', 0, end) if end >= 0 and b'"' in data else 0
    while end >= 0 and quotes % 2:
        before = data.rfind(b"\n", 0, end)
        quotes -= data.count(b'"', max(before, 0), end)
        end = before
    return end + 1


def _header(source: str, block: bytes, schema: Schema) -> tuple[list[str], str]:
    """The names of the columns, and the separator."""
    if not block.strip():
        raise no_records(source)
    if block[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RecordError(
            f"{source} is not CSV in UTF-8 but in UTF-16: save it as UTF-8, or set dataset.csv: "
            '{"encoding": "utf-16"}'
        )
    for mark, name in _MARKS.items():
        if re.match(mark, block.lstrip()):
            raise RecordError(f"{source} is not CSV but looks like {name}; expected {WANTED}")
    if b"\0" in block[:_FIRST]:
        raise RecordError(f"{source} is not CSV but a binary file; expected {WANTED}")
    text = io.StringIO(block.decode("utf-8", "replace"), newline="")
    sep = schema.csv.get("sep", ",")
    names = next(csv.reader(text, delimiter=sep))
    if len(names) == 1 and "sep" not in schema.csv and not block.startswith(b'"'):
        if ";" in names[0]:
            raise RecordError(
                f"{source} has semicolons where commas are expected: write it with commas, or "
                'set dataset.csv: {"sep": ";"}, and "decimal": "," if its numbers have commas'
            )
        sep = "\t" if "\t" in names[0] else sep
        names = next(csv.reader(names, delimiter=sep))
    check_names(names, source)
    return names, sep


def _parse(
    source: str,
    sep: str,
    schema: Schema,
    names: Sequence[str] | None,
    spelt: Collection[str],
    header: Sequence[str] | None,
    block: bytes | memoryview,
) -> Any:
    """A block as an Arrow table; without ``header``, it begins with one."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    uneven: list[Any] = []

    def keep(row: Any) -> str:
        uneven.append(row)
        return "error"

    def parse(names: Sequence[str] | None, spelt: Collection[str]) -> Any:
        return arrow.read_csv(
            pa.BufferReader(block),
            # On one thread: two are no faster where another core trains.
            arrow.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=header),
            arrow.ParseOptions(delimiter=sep, newlines_in_values=True, invalid_row_handler=keep),
            arrow.ConvertOptions(
                include_columns=names,
                column_types=dict.fromkeys(spelt, pa.string()),
                null_values=["", *WORDS, *schema.missing],
                true_values=_TRUE,
                false_values=_FALSE,
                decimal_point=schema.csv.get("decimal", "."),
            ),
        )

    try:
        table = parse(names, spelt)
        is_text = not any(pa.types.is_binary(column.type) for column in table.columns)
    except pa.ArrowInvalid as error:
        if not uneven and "UTF8" not in str(error):
            raise
        is_text = bool(uneven)
    if not is_text:
        raise RecordError(
            f"{source} is not CSV in UTF-8: save it so, or name its encoding, in dataset.csv: "
            '{"encoding": "latin-1"}'
        )
    if uneven:
        row = uneven[0]
        raise RecordError(
            f"{source} is not CSV: expected {row.expected_columns} fields in each row, as the "
            f"header has them, got {row.actual_columns} in {row.text[:80]!r}; put a field that "
            f"holds '{sep}' or a line break in double quotes, and name every column"
        )
    doubtful = _doubtful(table, block, sep)
    if not doubtful:
        return table
    again = parse(doubtful, doubtful)
    spelt = [name for name in doubtful if not _is_plain(table[name], again[name])]
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return pa.table(columns | {name: again[name] for name in spelt})


def _doubtful(table: Any, block: bytes | memoryview, sep: str) -> list[str]:
    """The columns in which Arrow may have read more than JSON's numbers and truth values."""
    import pyarrow.compute as pc
    import pyarrow.types as pt

    doubtful = []
    zeros: bool | None = None
    for name in table.column_names:
        kind = table[name].type
        if pt.is_temporal(kind):
            doubtful.append(name)
        elif pt.is_integer(kind) or pt.is_floating(kind):
            zeros = _has_leading_zeros(block, sep) if zeros is None else zeros
            largest = pc.max(pc.abs(table[name])).as_py() if pt.is_floating(kind) else None
            if zeros or (largest or 0) >= EXACT:
                doubtful.append(name)
    return doubtful


def _is_plain(read: Any, spelt: Any) -> bool:
    """Whether a column that was taken for one of numbers is one."""
    import pyarrow.compute as pc
    import pyarrow.types as pt

    if pt.is_temporal(read.type):
        return False
    odd = pc.match_substring_regex(spelt, r"^\s*[+-]?(0[0-9xX]|[iI])")
    if pt.is_floating(read.type):
        # Whole numbers so large that a double has not all their digits.
        odd = pc.or_(odd, pc.match_substring_regex(spelt, r"^\s*[+-]?[0-9]{16,}\s*$"))
    return not pc.any(odd).as_py()


def _has_leading_zeros(block: bytes | memoryview, sep: str) -> bool:
    """Whether a cell may begin with a zero and go on with a digit; signs and blanks do not count.

    It may find one where there is none, as in a text; it does not miss one.
    """
    marks = np.frombuffer(block, np.uint8)
    # The first cell has nothing before it.
    begin = np.frombuffer(b"\n\n" + bytes(block[:3]), np.uint8)
    starts = range(0, len(marks), _CACHED)
    parts = chain([begin], (marks[start : start + _CACHED + 3] for start in starts))
    return any(_begins_with_zero(part, sep) for part in parts)


def _begins_with_zero(marks: Array, sep: str) -> bool:
    before, last, zero, after = marks[:-3], marks[1:-2], marks[2:-1], marks[3:]
    # Behind a digit or a letter, a sign or a blank is of a date, an exponent or a text.
    in_word = (before - ord("0") < 10) | ((before | 32) - ord("a") < 26)
    begins = ~in_word & ((last == ord(" ")) | (last == ord("+")) | (last == ord("-")))
    for mark in f'{sep}\r\n"':
        begins |= last == ord(mark)
    goes_on = (after - ord("0") < 10) | (after | 32 == ord("x"))
    return bool(((zero == ord("0")) & begins & goes_on).any())


def csv_lines(
    source: str, schema: Schema, limit: int | None = None, first: int = 0
) -> list[int] | None:
    r"""The line of each record of a CSV file; None where that cannot be told.

    The file is read again for it, and only when an error wants it.

    Args:
        source: the file.
        schema: how it is written.
        limit: the number of the record to end before, the last one if left out.
        first: the number of the record to begin with.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with open(f"{folder}/train.csv", "w") as file:
        ...         _ = file.write('a\n"x\ny"\n\nz\n')
        ...     csv_lines(f"{folder}/train.csv", Schema())
        [2, 5]
    """
    end = None if limit is None else limit + 1  # with the header
    encoding, sep = schema.csv.get("encoding", "utf-8"), schema.csv.get("sep", ",")
    try:
        return [line for line, _, _ in islice(_rows(source, encoding, sep), first + 1, end)]
    except (*UNREADABLE, csv.Error):
        return None


def csv_texts(source: str) -> Iterator[tuple[bytes, dict[str, str]]]:
    r"""Each record of a CSV file, as its bytes and as its cells are spelt; the header comes first.

    Of commas, tabs and semicolons, the first that the header has separates the cells. Bytes that
    are not UTF-8 are kept, too.

    Raises:
        RecordError: the file is empty or no CSV, or a record has not as many cells as the header.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with open(f"{folder}/train.csv", "w", newline="") as file:
        ...         _ = file.write('a;b\r\n"x\ny";007\r\n')
        ...     list(csv_texts(f"{folder}/train.csv"))[1]
        (b'"x\ny";007\r\n', {'a': 'x\ny', 'b': '007'})
    """
    with reading(source, "CSV", (*UNREADABLE, csv.Error)):
        with open_file(source)[0] as handle:
            first = _first(_blocks(handle.read))
        found = (_header(source, first, Schema(csv={"sep": sep})) for sep in ",\t;")
        sep = next((sep for names, sep in found if len(names) > 1), ",")
        names: list[str] = []
        for line, row, text in _rows(source, "utf-8", sep):
            names = names or row
            if len(row) != len(names):
                raise RecordError(
                    f"{source}, line {line}: expected {len(names)} fields, as the header has them, "
                    f"got {len(row)}; put a field that holds '{sep}' in double quotes"
                )
            yield text.encode("utf-8", _BYTES), dict(zip(names, row, strict=True))


def _rows(source: str, encoding: str, sep: str) -> Iterator[tuple[int, list[str], str]]:
    """The line, the cells and the text of each record; the header is the first."""
    csv.field_size_limit(sys.maxsize)  # as Arrow, which has none
    with open_file(source)[0] as handle:
        # What is no text may stand behind the records that are wanted.
        lines = io.TextIOWrapper(handle, encoding, errors=_BYTES, newline="")
        taken: list[str] = []

        def take() -> Iterator[str]:
            for line in lines:
                taken.append(line)
                yield line if reader.line_num else line.removeprefix("\ufeff")

        reader = csv.reader(take(), delimiter=sep)
        for row in reader:
            if row:
                yield reader.line_num - len(taken) + 1, row, "".join(taken)
            taken.clear()
