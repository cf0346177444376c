"""Requests that must be refused, each for one reason, and never forwarded in any part."""

from __future__ import annotations

H = b"Host: gateway\r\n"
LINE = b"GET /function/echo HTTP/1.1\r\n"
CHUNKED = b"POST /function/echo HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n"


def _post(headers: bytes, body: bytes = b"") -> bytes:
    return b"POST /function/echo HTTP/1.1\r\n" + H + headers + b"\r\n" + body


def _get(headers: bytes) -> bytes:
    return LINE + H + headers + b"\r\n"


CORPUS: dict[str, bytes] = {
    # Two ideas of where the body ends.
    "both lengths": _post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "both lengths, the other way round": _post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
    "two lengths that differ": _post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"),
    "two lengths that agree": _post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "a list of lengths": _post(b"Content-Length: 5, 5\r\n", b"hello"),
    "a negative length": _post(b"Content-Length: -5\r\n"),
    "a signed length": _post(b"Content-Length: +5\r\n", b"hello"),
    "a hexadecimal length": _post(b"Content-Length: 0x5\r\n", b"hello"),
    "a length with a space inside": _post(b"Content-Length: 5 0\r\n", b"hello"),
    "a length with an underscore": _post(b"Content-Length: 1_0\r\n", b"helloworld"),
    "a length in other digits": _post(b"Content-Length: \xd9\xa5\r\n", b"hello"),
    "an empty length": _post(b"Content-Length:\r\n"),
    "a length in quotes": _post(b'Content-Length: "5"\r\n', b"hello"),
    "a length beyond any number of bytes": _post(b"Content-Length: 99999999999999999999\r\n"),
    # Codings a replica may know and we do not, or the other way round.
    "another coding": _post(b"Transfer-Encoding: gzip\r\n"),
    "another coding before chunked": _post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "another coding behind chunked": _post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "chunked twice": _post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"),
    "chunked on two lines": _post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "chunked and something on two lines": _post(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", b"0\r\n\r\n"
    ),
    "an empty coding": _post(b"Transfer-Encoding:\r\n"),
    "chunked with a parameter": _post(b"Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n"),
    "chunked in quotes": _post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"),
    "chunked behind a vertical tab": _post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "chunked misspelt": _post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "chunked in HTTP/1.0": b"POST /function/echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    # Chunks.
    "a chunk size that is no number": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "an empty chunk size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "a signed chunk size": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with an underscore": CHUNKED + b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "a space before a chunk size": CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n",
    "a space behind a chunk size": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "a chunk size beyond any number of bytes": CHUNKED + b"fffffffffffffffff\r\n",
    "a chunk longer than its size": CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
    "a chunk shorter than its size": CHUNKED + b"6\r\nhello\r\n0\r\n\r\n",
    "a chunk size line that ends in a line feed": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "a chunk that ends in a line feed": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "a carriage return in a chunk extension": CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "a line feed in a chunk extension": CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "a NUL in a chunk extension": CHUNKED + b"5;a\0b\r\nhello\r\n0\r\n\r\n",
    "a chunk size line without end": CHUNKED + b"5;" + b"a" * 5000,
    "a line feed ends the last chunk": CHUNKED + b"0\n\r\n",
    "a line feed ends the trailers": CHUNKED + b"0\r\n\n",
    "a trailer that frames": CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
    "a trailer that re-codes": CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a trailer that routes": CHUNKED + b"0\r\nHost: other\r\n\r\n",
    "a trailer without a colon": CHUNKED + b"0\r\nnonsense\r\n\r\n",
    # Header lines.
    "a space before the colon": _get(b"X-A : b\r\n"),
    "a space before the colon of a length": _post(b"Content-Length : 5\r\n", b"hello"),
    "a tab before the colon": _get(b"X-A\t: b\r\n"),
    "a folded line": _get(b"X-A: b\r\n c\r\n"),
    "a folded line by a tab": _get(b"X-A: b\r\n\tc\r\n"),
    "a folded first line": LINE + b" Host: gateway\r\n\r\n",
    "a line without a colon": _get(b"nonsense\r\n"),
    "a line without a name": _get(b": b\r\n"),
    "a name with a space": _get(b"X A: b\r\n"),
    "a name with a bracket": _get(b"X(A): b\r\n"),
    "a name with a control character": _get(b"X\x01A: b\r\n"),
    "a name beyond ASCII": _get("X-Ä: b\r\n".encode()),
    "a NUL in a value": _get(b"X-A: b\0c\r\n"),
    "a control character in a value": _get(b"X-A: b\x01c\r\n"),
    "a delete character in a value": _get(b"X-A: b\x7fc\r\n"),
    "a carriage return in a value": _get(b"X-A: b\rc\r\n"),
    "a line feed in a value": _get(b"X-A: b\nX-B: c\r\n"),
    "a line that ends in a line feed": LINE + b"Host: gateway\nX-A: b\r\n\r\n",
    "a head of line feeds only": b"GET /function/echo HTTP/1.1\nHost: gateway\n\n",
    "an empty line of a line feed": LINE + b"Host: gateway\r\n\n",
    "a line that ends in two carriage returns": _get(b"X-A: b\r\r\n"),
    # Which host.
    "no host": LINE + b"\r\n",
    "two hosts": _get(b"Host: other\r\n"),
    "two hosts that agree": _get(b"Host: gateway\r\n"),
    "a host with a path": LINE + b"Host: gateway/x\r\n\r\n",
    "a host with a user": LINE + b"Host: user@gateway\r\n\r\n",
    "a host with a space": LINE + b"Host: gate way\r\n\r\n",
    "a target on another host": b"GET http://other/function/echo HTTP/1.1\r\n" + H + b"\r\n",
    "a target that is no path": b"GET function/echo HTTP/1.1\r\n" + H + b"\r\n",
    "a target that is an authority": b"CONNECT gateway:80 HTTP/1.1\r\n" + H + b"\r\n",
    "a target that is a star": b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n",
    "a target with a fragment": b"GET /function/echo#a HTTP/1.1\r\n" + H + b"\r\n",
    # The request line.
    "a target with a space": b"GET /function/echo a HTTP/1.1\r\n" + H + b"\r\n",
    "a target with a tab": b"GET /function/echo\ta HTTP/1.1\r\n" + H + b"\r\n",
    "a target with a NUL": b"GET /function/echo\0 HTTP/1.1\r\n" + H + b"\r\n",
    "a target with a carriage return": b"GET /function/echo\ra HTTP/1.1\r\n" + H + b"\r\n",
    "two spaces before the version": b"GET /function/echo  HTTP/1.1\r\n" + H + b"\r\n",
    "a tab between the words": b"GET\t/function/echo\tHTTP/1.1\r\n" + H + b"\r\n",
    "a space before the method": b" GET /function/echo HTTP/1.1\r\n" + H + b"\r\n",
    "a method with a bracket": b"GE(T /function/echo HTTP/1.1\r\n" + H + b"\r\n",
    "a version in lower case": b"GET /function/echo http/1.1\r\n" + H + b"\r\n",
    "a version with one digit": b"GET /function/echo HTTP/1\r\n" + H + b"\r\n",
    "a version with three digits": b"GET /function/echo HTTP/1.10\r\n" + H + b"\r\n",
    "a version before the first": b"GET /function/echo HTTP/0.9\r\n" + H + b"\r\n",
    "a later version": b"GET /function/echo HTTP/2.0\r\n" + H + b"\r\n",
    "another later version": b"GET /function/echo HTTP/1.2\r\n" + H + b"\r\n",
    "no version": b"GET /function/echo\r\n" + H + b"\r\n",
    "the beginning of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "the beginning of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a request line without end": b"GET /function/echo?" + b"a" * 20_000,
    "a request line that is too long": b"GET /function/echo?" + b"a" * 20_000 + b" HTTP/1.1\r\n" + H + b"\r\n",
    "headers that are too large": _get(b"X-A: " + b"b" * 1000 + b"\r\n")[:-2]
    + (b"X-A: " + b"b" * 1000 + b"\r\n") * 70
    + b"\r\n",
    "an expectation nobody knows": _get(b"Expect: a-miracle\r\n"),
}

STATUS: dict[str, int] = {
    "a version before the first": 505,
    "a later version": 505,
    "the beginning of HTTP/2": 505,
    "a request line without end": 414,
    "a request line that is too long": 414,
    "headers that are too large": 431,
    "an expectation nobody knows": 417,
}
"""Where it is not 400."""
