"""Bad requests whose body or HTTP is wrong as a whole."""

from __future__ import annotations

import gzip
import json
import math
import random
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from request_deck import EITHER, LARGE, REFUSED, SCORE, Draw, at, kind
from serving_requests import (
    CSV,
    JSON,
    JSON_FORMATS,
    PARQUET,
    Literal,
    Request,
    by_column,
    http,
    split,
    to_csv,
    to_json,
    to_parquet,
    write,
)

_LARGE = 200_000_000
"""Bytes of the largest bodies."""


# --- The whole of the JSON ------------------------------------------------------------------------

_ODD = [None, True, 5, -1.5, math.nan, "", "text", [], {}, [None], [[]], [{}], [5], ["ab"], [[1.0]],
        [[[]]], {"a": None}, {"a": []}, {"a": [1]}, {"a": {"b": {"c": []}}}, [[], [1], [1, 2]],
        {"": ""}, {"columns": [], "data": []}, "/etc/passwd", "http://127.0.0.1/"]  # fmt: skip


@kind(times=2)
def _not_the_object(draw: Draw) -> Request:
    value = draw.chance.choice([value for value in _ODD if not isinstance(value, dict)])
    return Request("JSON that is no object", REFUSED, to_json(value))


@kind(times=3)
def _odd_payload(draw: Draw) -> Request:
    form = draw.form("dataframe_split", "dataframe_records", "inputs", "instances")
    value = draw.chance.choice(_ODD)
    return Request(f"an odd value for {form}", EITHER, to_json({form: value}))


@kind()
def _odd_data(draw: Draw) -> Request:
    frame = split(draw.records())["dataframe_split"]
    frame["data"] = draw.chance.choice(_ODD)
    return Request("odd data", EITHER, to_json({"dataframe_split": frame}))


@kind()
def _no_format(draw: Draw) -> Request:
    records = draw.records()
    values = [{}, {"data": records}, {"dataframe": records}, {"Inputs": records}, records[0],
              {**split(records), "inputs": records}, {"columns": [], "data": []}]  # fmt: skip
    return Request("no format, or two", REFUSED, to_json(draw.chance.choice(values)))


@kind(times=2)
def _further_keys(draw: Draw) -> Request:
    payload = JSON_FORMATS[form := draw.form()](draw.records())
    key = draw.chance.choice(["params", "params", "signature_name", "more", "", "\x00"])
    payload[key] = draw.chance.choice(_ODD)
    expect = SCORE if form in draw.model.formats else EITHER
    return Request("a further key", expect, to_json(payload))


@kind()
def _split_with_more(draw: Draw) -> Request:
    payload = split(draw.records())
    payload["dataframe_split"][draw.chance.choice(["dtypes", "more", "orient", ""])] = 1
    return Request("a further key in dataframe_split", REFUSED, to_json(payload))


@kind()
def _language_model(draw: Draw) -> Request:
    """Keys that make MLflow take the request for one to a language model."""
    payload: dict[str, Any] = draw.chance.choice(
        [by_column(draw.records()), draw.records(1)[0], {}]
    )
    payload[draw.chance.choice(["messages", "prompt", "input"])] = draw.chance.choice(_ODD)
    return Request("a request to a language model", EITHER, to_json(payload))


_WORDS = ["", "a", "NaN", "5", "\x00", "\ud800", "\U0001f427", "many words", "a" * 5_000]
_NUMBERS = [0, -1, 2**53, 2**63, -(2**65), 10**40, 0.1, -0.0, 1e308, 5e-324, math.nan, math.inf]


def _random_value(chance: random.Random, depth: int = 4) -> Any:
    """Any JSON value."""
    choice = chance.random()
    if choice < 0.3 or depth == 0:
        return chance.choice([None, True, False, *_NUMBERS, *_WORDS])
    items = [_random_value(chance, depth - 1) for _ in range(chance.randint(0, 4))]
    return items if choice < 0.7 else {chance.choice(_WORDS): item for item in items}


@kind(times=10)
def _random_place(draw: Draw) -> Request:
    """Any value in any place of a good request: whatever comes of it, it is a clean answer."""
    payload = JSON_FORMATS[draw.form()](draw.records())
    holder, key = payload, next(iter(payload))
    while isinstance(holder[key], (list, dict)) and holder[key] and draw.chance.random() < 0.75:
        holder = holder[key]
        places = range(len(holder)) if isinstance(holder, list) else list(holder)
        key = draw.chance.choice(places)
    holder[key] = _random_value(draw.chance)
    may = ("column name is a list",) if _names_a_list(payload) else ()
    return Request("any value anywhere", EITHER, to_json(payload), may=may)


def _names_a_list(payload: Mapping[str, Any]) -> bool:
    """Whether one of the columns of ``dataframe_split`` is called by a list or an object."""
    frame = payload.get("dataframe_split")
    names = frame.get("columns") if isinstance(frame, dict) else None
    return isinstance(names, list) and any(isinstance(name, (list, dict)) for name in names)


@kind(times=2)
def _nested(draw: Draw) -> Request:
    depth = draw.chance.randint(51, 300)
    column = draw.column()
    records = draw.records()
    row = draw.chance.randrange(len(records))
    pair = draw.chance.choice([("[", "]"), ('{"a":', "}")])
    records[row][column.name] = Literal(pair[0] * depth + "1" + pair[1] * depth)
    expect = EITHER if column.lenient else REFUSED
    return draw.request("a nested value", expect, draw.form(), records, **at(column, row))


@kind(times=2)
def _nested_near_the_limit(draw: Draw) -> Request:
    depth = draw.chance.randint(301, 1_100)
    records = draw.records()
    records[-1][draw.column().name] = Literal("[" * depth + "]" * depth)
    return draw.request(
        "a deeply nested value", EITHER, draw.form(), records, may=("nested too deep",)
    )


@kind()
def _nested_too_deep(draw: Draw) -> Request:
    depth = draw.chance.choice([2_000, 10_000, 100_000])
    pair = draw.chance.choice([("[", "]"), ('{"a":', "}"), ("[", ""), ('{"inputs":', "}")])
    body = pair[0] * depth + "1" + pair[1] * depth
    return Request("nested too deep", "nested too deep", body.encode())


@kind()
def _thousands_of_digits(draw: Draw) -> Request:
    records = draw.records()
    digits = draw.chance.choice([4_301, 5_000, 100_000])
    records[0][draw.column().name] = Literal(draw.chance.choice("123456789") * digits)
    body, _ = write(draw.form(), records)
    return Request("thousands of digits", "thousands of digits", body)


# --- Not JSON -------------------------------------------------------------------------------------


def _some_json(draw: Draw) -> bytes:
    return write(draw.form(), draw.records())[0]


@kind(times=2)
def _cut_off(draw: Draw) -> Request:
    body = _some_json(draw)
    return Request("JSON cut off", REFUSED, body[: draw.chance.randrange(len(body))])


@kind(times=2)
def _broken_json(draw: Draw) -> Request:
    text = _some_json(draw).decode()
    bodies = [text + "}", text + text, text + "\x00", text.replace('"', "'"), text[:-1] + ",}",
              f"// comment\n{text}", f"({text})", f"callback({text})", text.replace(":", "="),
              text.replace("[", "[,", 1), text[1:], f"\\{text}", f"\ufeff\ufeff{text}", "nan",
              "undefined", "{", "}", '"', "<xml/>", "a: b", text.replace('"', "\u201c"),
              text.replace(": ", ": +", 1), "01", "1.", ".5", "0x10",
              '{"a": "\\x"}', '{"a": "\\ud8"}', '{"a": "\n"}', "\x00"]  # fmt: skip
    return Request("broken JSON", REFUSED, draw.chance.choice(bodies).encode())


@kind(times=4)
def _changed_bytes(draw: Draw) -> Request:
    """A few bytes of a good request changed, put in or taken away: often it is JSON still."""
    body = bytearray(_some_json(draw))
    for _ in range(draw.chance.randint(1, 4)):
        place = draw.chance.randrange(len(body))
        byte = draw.chance.choice([draw.chance.randrange(256), *b'0123456789-+.eE[]{}",: \\u'])
        how = draw.chance.randrange(3)
        if how == 0:
            body[place] = byte
        elif how == 1:
            body.insert(place, byte)
        else:
            del body[place]
    # A quote taken from one list of names can put another list among them.
    may = ("column name is a list",)
    return Request("changed bytes", EITHER, bytes(body), may=may)


@kind(times=2)
def _encoding(draw: Draw) -> Request:
    text = _some_json(draw).decode()
    records = draw.records()
    records[0]["note"] = "Größe"
    accents = json.dumps({"dataframe_records": records}, default=str, ensure_ascii=False)
    bodies = {
        "UTF-16": text.encode("utf-16"),
        "UTF-32": text.encode("utf-32"),
        "a byte order mark": text.encode("utf-8-sig"),
        "Latin-1": accents.encode("latin-1", "replace"),
        "invalid UTF-8": text.encode().replace(b":", b'\xff\xfe":', 1),
        "an overlong form": text.encode() + b"\xc0\x80",
        "surrogates in UTF-8": text.encode().replace(b"{", b'{"\xed\xa0\x80": 1, ', 1),
    }
    name, body = draw.chance.choice(list(bodies.items()))
    return Request(name, EITHER, body)


@kind()
def _no_body(draw: Draw) -> Request:
    body = draw.chance.choice([b"", b" ", b"\r\n\t", b"\x00", b"\xef\xbb\xbf", b"null", b"\xff"])
    return Request("no body", REFUSED, body)


@kind()
def _blanks(draw: Draw) -> Request:
    blanks = b" \n\t\r" * draw.chance.choice([1, 1_000, 100_000])
    request = draw.request("blanks in JSON", SCORE, draw.form(), draw.records())
    body = request.body.replace(b": ", b":" + blanks, 1)
    return replace(request, body=blanks + body + blanks)


# --- CSV and Parquet ------------------------------------------------------------------------------


@kind(times=3)
def _odd_csv(draw: Draw) -> Request:
    text = to_csv(draw.records()).decode()
    head, _, rows = text.partition("\r\n")
    bodies = ["", "\n", ",", '"', head, rows, text * 2, text.replace(",", ";"), text + '"',
              head + "\n", text.replace("\r\n", ",1\r\n"), text.replace("\r\n", "\r\n,", 1),
              text + "1,2\n",
              text.replace(",", ",,", 1), f"{head},{head}\n{rows}", text.replace("\r\n", "\r"),
              "\ufeff" + text, text + "\x00", head.upper() + "\n" + rows, text.replace(",", '","'),
              text + ",".join(["1e999"] * 9), text + "=1+1", f"#{text}",
              text + "9" * 5_000]  # fmt: skip
    body = draw.chance.choice(bodies).encode()
    if draw.chance.random() < 0.2:
        body = body.replace(b",", b"\xff", 1) or b"\xff"
    return Request("odd CSV", EITHER, body, CSV, may=("unreadable CSV",))


@kind(times=3)
def _odd_parquet(draw: Draw) -> Request:
    try:
        body = bytearray(to_parquet(draw.records()))
    except Exception:
        body = bytearray(b"PAR1PAR1")
    how = draw.chance.randrange(4)
    if how == 0:
        body = body[: draw.chance.randrange(len(body))]
    elif how == 1:
        body[draw.chance.randrange(len(body))] ^= 1 << draw.chance.randrange(8)
    elif how == 2:
        body = bytearray(_some_json(draw))
    else:
        body = bytearray(draw.chance.randbytes(draw.chance.choice([0, 4, 100, 10_000])))
    return Request("odd Parquet", EITHER, bytes(body), PARQUET, may=("unreadable Parquet",))


@kind()
def _csv_as_json(draw: Draw) -> Request:
    return Request("CSV as JSON", REFUSED, to_csv(draw.records()))


@kind()
def _json_as_csv(draw: Draw) -> Request:
    return Request("JSON as CSV", REFUSED, _some_json(draw), CSV, may=("unreadable CSV",))


# --- HTTP -----------------------------------------------------------------------------------------


@kind()
def _no_content_type(draw: Draw) -> Request:
    return Request("no content type", "no content type", _some_json(draw), None)


@kind(times=2)
def _content_type(draw: Draw) -> Request:
    types = ["", "text/plain", "application/xml", "application/octet-stream", "multipart/form-data",
             "application/x-www-form-urlencoded", "APPLICATION/JSON", "application/jsonx", "json",
             "application/json;", "application/json; charset=latin-1", "application/json; charset",
             'application/json; charset="utf-8"', "application/json; v=1",
             "text/csv; header=absent", "application/json, text/csv", ";", "=", "\xff\xfe",
             "a" * 5_000]  # fmt: skip
    content_type = draw.chance.choice(types)
    return Request(f"content type {content_type[:40]!r}", "another content type", _some_json(draw),
                   content_type)  # fmt: skip


@kind()
def _right_content_type(draw: Draw) -> Request:
    types = [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        " application/json ",
    ]
    request = draw.request("good", SCORE, draw.form(), draw.records())
    return replace(request, content_type=draw.chance.choice(types))


@kind(times=2)
def _content_encoding(draw: Draw) -> Request:
    body = _some_json(draw)
    packed = {
        "gzip": gzip.compress(body, mtime=0),
        "deflate": zlib.compress(body),
        "br": b"\x8b\x02" + body,
    }
    name, body = draw.chance.choice(list(packed.items()))
    headers = (("Content-Encoding", name),)
    return Request(f"a body packed by {name}", REFUSED, body, headers=headers)


@kind()
def _headers(draw: Draw) -> Request:
    headers = [("Accept", "text/html"), ("Accept", "\xff"), ("Cookie", "a" * 9_000),
               ("X-Forwarded-For", "\x01"), ("Authorization", "Basic !"), ("Expect", "200-ok"),
               ("Connection", "close, keep-alive"), ("Accept-Encoding", "gzip;q=nan"),
               ("Range", "bytes=5-1"), ("Host", ""), ("Upgrade", "websocket")]  # fmt: skip
    header = draw.chance.choice(headers)
    request = draw.request(f"header {header[0]}", EITHER, draw.form(), draw.records())
    wire = http(request.body, ("Content-Type", JSON), header)
    return replace(request, wire=(wire,), may=("not HTTP",))


@kind()
def _sent_in_pieces(draw: Draw) -> Request:
    request = draw.request("a body in pieces", SCORE, draw.form(), draw.records())
    body, type_ = request.body, ("Content-Type", JSON)
    third = len(body) // 3
    pieces = [body[:third], body[third : 2 * third], body[2 * third :]]
    chunks = b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in pieces) + b"0\r\n\r\n"
    wires = [
        (http(b"", type_, length=len(body)), *pieces),
        (http(chunks, type_, ("Transfer-Encoding", "chunked")),),
        (http(b"", type_, ("Transfer-Encoding", "chunked")), chunks[:9], chunks[9:]),
        (http(b"", type_, ("Expect", "100-continue"), length=len(body)), body),
        (http(body, type_, line="POST /invocations HTTP/1.0"),),
        (http(body, type_, line="POST /invocations?a=%00&b=[] HTTP/1.1"),),
        (http(body, ("content-TYPE", JSON)),),
    ]
    return replace(request, wire=draw.chance.choice(wires))


@kind()
def _wrong_length(draw: Draw) -> Request:
    body, type_ = _some_json(draw), ("Content-Type", JSON)
    shorter = http(body, type_, length=draw.chance.randrange(len(body)))
    return Request("a length that is too short", REFUSED, wire=(shorter,))


@kind(times=2)
def _hung_up(draw: Draw) -> Request:
    body, type_ = _some_json(draw), ("Content-Type", JSON)
    wires = [
        (http(body, type_, length=len(body) + 100),),
        (http(body[: len(body) // 2], type_, length=len(body)),),
        (http(b"5\r\n{", type_, ("Transfer-Encoding", "chunked")),),
        (http(body, type_, ("Transfer-Encoding", "chunked")),),
        (http(body, type_),),
        (http(body, type_)[:30],),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",),
        (b"\r\n" * 50,),
        (b"",),
    ]
    return Request("hung up", "body cut off", wire=draw.chance.choice(wires), hang_up=True)


@kind()
def _method(draw: Draw) -> Request:
    name = draw.chance.choice(["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
    wire = http(_some_json(draw), ("Content-Type", JSON), line=f"{name} /invocations HTTP/1.1")
    return Request(f"method {name}", "method", wire=(wire,))


@kind()
def _path(draw: Draw) -> Request:
    paths = ["/", "/nowhere", "/invocations/", "/INVOCATIONS", "//invocations", "/../etc/passwd",
             "/invocations/1", "/%00", "/%ff", "/invocations%2f", "/" + "a" * 9_000]  # fmt: skip
    line = f"POST {draw.chance.choice(paths)} HTTP/1.1"
    wire = http(_some_json(draw), ("Content-Type", JSON), line=line)
    return Request("another path", "path", wire=(wire,))


@kind(times=2)
def _not_http(draw: Draw) -> Request:
    body, type_ = _some_json(draw), ("Content-Type", JSON)
    wires = [
        draw.chance.randbytes(500) + b"\r\n\r\n",
        body + b"\r\n\r\n",
        b"POST\r\n\r\n",
        http(body, type_, line="POST /invocations"),
        http(body, type_, line="POST /invoc ations HTTP/1.1"),
        http(body, type_, *[(f"X-{number}", "a" * 99) for number in range(2_000)]),
        http(body, type_, ("Content-Length", "-5")),
        http(body, type_, ("Content-Length", "many")),
        http(body, type_, ("Content-Length", "5"), ("Content-Length", "6")),
        http(body, type_, ("Transfer-Encoding", "identity, gzip")),
        http(b"zz\r\n{}\r\n0\r\n\r\n", type_, ("Transfer-Encoding", "chunked")),
        http(body, type_, ("a\x00b", "c")),
    ]
    return Request("not HTTP", "not HTTP", wire=(draw.chance.choice(wires),))


@kind()
def _strange_http(draw: Draw) -> Request:
    """What one HTTP server takes and another does not."""
    request = draw.request("strange HTTP", EITHER, draw.form(), draw.records())
    body, type_ = request.body, ("Content-Type", JSON)
    wires = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        http(body, type_, line="POST /invocations HTTP/9.9"),
        http(body, type_, ("X", "a" * 100_000)),
        http(body, type_, (" folded", "a")),
        http(body, type_, type_),
    ]
    may = ("not HTTP", "another content type", "path")
    return replace(request, wire=(draw.chance.choice(wires),), may=may)


# --- Bodies of 200 MB -----------------------------------------------------------------------------


@kind(into=LARGE)
def _large_blank(draw: Draw) -> Request:
    request = draw.request("200 MB of blanks", SCORE, "dataframe_split", draw.records())
    return replace(request, body=request.body + b" " * (_LARGE - len(request.body)))


@kind(into=LARGE)
def _large_string(draw: Draw) -> Request:
    records = draw.records(1)
    records[0]["extra"] = "a" * _LARGE
    return draw.request("a string of 200 MB", SCORE, "dataframe_records", records)


@kind(into=LARGE)
def _large_word(draw: Draw) -> Request:
    column = draw.number()
    records = draw.records(1)
    records[0][column.name] = "a" * _LARGE
    return draw.request("a word of 200 MB", REFUSED, "dataframe_records", records, **at(column, 0))


@kind(into=LARGE)
def _large_broken(draw: Draw) -> Request:
    return Request("200 MB that are no JSON", REFUSED, b"{" + b"a" * _LARGE)


@kind(into=LARGE)
def _large_list(draw: Draw) -> Request:
    (record,) = draw.records(1)
    text = to_json(record).decode()
    count = _LARGE // (len(text) + 2)
    body = ('{"dataframe_records": [' + ", ".join([text] * count) + "]}").encode()
    return Request("200 MB of rows", SCORE, body, count=count, may=("time limit",))
