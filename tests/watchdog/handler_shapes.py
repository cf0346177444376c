"""Handlers as people write them, for each of the templates. Ours, in the shapes that public ones have."""

# ruff: noqa: E501 - lines of handlers are as long as their authors made them
from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.watchdog.handlers import CLASSIC, FLASK, HTTP

HTML, TEXT, JSON = "text/html; charset=utf-8", "text/plain; charset=utf-8", "application/json"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
KEY = "shapes-key"
"""Of the secret that handlers of webhooks read."""
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@dataclass(frozen=True)
class Call:
    body: bytes = b""
    path: str = "/"
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """One handler, one call of it, and the answer."""

    name: str
    lang: str
    source: str
    call: Call
    body: bytes
    kind: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def _sign(body: bytes) -> str:
    return "sha256=" + hmac.new(KEY.encode(), body, "sha256").hexdigest()


EVENT_SHAPES = [
    Shape(
        "hello",
        HTTP,
        'def handle(event, context):\n    return {"statusCode": 200, "body": "Hello from OpenFaaS!"}',
        Call(),
        b"Hello from OpenFaaS!",
        HTML,
    ),
    Shape("plain text", HTTP, 'def handle(event, context):\n    return "just text"', Call(), b"just text", HTML),
    Shape(
        "echo",
        HTTP,
        'def handle(event, context):\n    return {"statusCode": 200, "body": event.body.decode("utf-8")}',
        Call("grüße".encode()),
        "grüße".encode(),
        HTML,
    ),
    Shape(
        "binary echo",
        HTTP,
        'def handle(event, context):\n    return {"statusCode": 200, "body": event.body,\n'
        '            "headers": {"Content-type": "application/octet-stream"}}',
        Call(bytes(range(256))),
        bytes(range(256)),
        "application/octet-stream",
    ),
    Shape(
        "JSON in, JSON out",
        HTTP,
        "import json\ndef handle(event, context):\n    found = json.loads(event.body)\n"
        '    return {"statusCode": 200, "body": {"sum": sum(found["values"])}}',
        Call(b'{"values": [1, 2, 3]}'),
        b'{"sum":6}\n',
        JSON,
    ),
    Shape(
        "JSON that it dumps itself",
        HTTP,
        'import json\ndef handle(event, context):\n    return {"statusCode": 200, "body": json.dumps({"ok": True}),\n'
        '            "headers": {"Content-Type": "application/json"}}',
        Call(),
        b'{"ok": true}',
        JSON,
    ),
    Shape(
        "body replaced by its JSON",
        HTTP,
        'import json\ndef handle(event, context):\n    event.body = json.loads(event.body)\n    return event.body["name"]',
        Call(b'{"name": "x"}'),
        b"x",
        HTML,
    ),
    Shape(
        "method switch",
        HTTP,
        'def handle(event, context):\n    if event.method == "DELETE":\n        return {"statusCode": 204}\n'
        '    return {"statusCode": 405, "body": "Method not allowed"}',
        Call(method="PATCH"),
        b"Method not allowed",
        HTML,
        405,
    ),
    Shape(
        "no content",
        HTTP,
        'def handle(event, context):\n    return {"statusCode": 204, "body": ""}',
        Call(method="DELETE"),
        b"",
        None,
        204,
    ),
    Shape(
        "router by path",
        HTTP,
        'ROUTES = {"/users": lambda event: ["a"], "/health": lambda event: "up"}\ndef handle(event, context):\n'
        '    route = ROUTES.get(event.path)\n    return route(event) if route else ("nothing here", 404)',
        Call(path="/users", method="GET"),
        b'["a"]\n',
        JSON,
    ),
    Shape(
        "not found by tuple",
        HTTP,
        'def handle(event, context):\n    return "nothing here", 404',
        Call(),
        b"nothing here",
        HTML,
        404,
    ),
    Shape(
        "query arguments",
        HTTP,
        'def handle(event, context):\n    name = event.query.get("name", "world")\n'
        '    page = event.query.get("page", default=1, type=int)\n    return f"{name} {page + 1}"',
        Call(path="/?name=a%20b&page=2", method="GET"),
        b"a b 3",
        HTML,
    ),
    Shape(
        "repeated query arguments",
        HTTP,
        'def handle(event, context):\n    return {"body": event.query.getlist("id")}',
        Call(path="/?id=1&id=2", method="GET"),
        b'["1","2"]\n',
        JSON,
    ),
    Shape(
        "headers in any case",
        HTTP,
        'def handle(event, context):\n    return event.headers.get("x-api-key", "") + event.headers["X-Api-Key"]',
        Call(headers={"X-API-Key": "k"}),
        b"kk",
        HTML,
    ),
    Shape(
        "bearer token",
        HTTP,
        'def handle(event, context):\n    given = event.headers.get("Authorization", "")\n'
        '    if not given.startswith("Bearer "):\n        return {"statusCode": 401, "body": "Unauthorized",\n'
        '                "headers": {"WWW-Authenticate": "Bearer"}}\n    return given[7:]',
        Call(),
        b"Unauthorized",
        HTML,
        401,
        {"www-authenticate": "Bearer"},
    ),
    Shape(
        "form",
        HTTP,
        "from urllib.parse import parse_qs\ndef handle(event, context):\n"
        '    form = parse_qs(event.body.decode())\n    return form["name"][0]',
        Call(b"name=a+b&x=1", headers=FORM),
        b"a b",
        HTML,
    ),
    Shape(
        "webhook with HMAC",
        HTTP,
        'import hmac, hashlib\ndef read_secret(name):\n    with open("/var/openfaas/secrets/" + name) as f:\n'
        "        return f.read().strip()\ndef handle(event, context):\n"
        '    expected = hmac.new(read_secret("shape").encode(), event.body, hashlib.sha256).hexdigest()\n'
        '    given = event.headers.get("X-Hub-Signature-256", "")\n'
        '    if not hmac.compare_digest(given, "sha256=" + expected):\n        return {"statusCode": 403, "body": "bad"}\n'
        '    return {"statusCode": 202, "body": "taken"}',
        Call(b"payload", headers={"X-Hub-Signature-256": _sign(b"payload")}),
        b"taken",
        HTML,
        202,
    ),
    Shape(
        "redirect",
        HTTP,
        'def handle(event, context):\n    return {"statusCode": 302, "headers": {"Location": "https://example.com/a"}}',
        Call(method="GET"),
        b"",
        None,
        302,
        {"location": "https://example.com/a"},
    ),
    Shape(
        "page",
        HTTP,
        'def handle(event, context):\n    return {"statusCode": 200, "body": "<!DOCTYPE html><h1>page</h1>"}',
        Call(method="GET"),
        b"<!DOCTYPE html><h1>page</h1>",
        HTML,
    ),
    Shape(
        "page from a file",
        HTTP,
        'with open("function/pages/index.html") as page:\n    INDEX = page.read()\n'
        "def handle(event, context):\n    return INDEX",
        Call(method="GET"),
        b"<p>index</p>",
        HTML,
        files={"pages/index.html": "<p>index</p>"},
    ),
    Shape(
        "template of the library",
        HTTP,
        "import os\nfrom string import Template\nHERE = os.path.dirname(os.path.abspath(__file__))\n"
        'def handle(event, context):\n    with open(os.path.join(HERE, "page.tmpl")) as f:\n'
        '        return Template(f.read()).substitute(name=event.query.get("name"))',
        Call(path="/?name=x", method="GET"),
        b"<b>x</b>",
        HTML,
        files={"page.tmpl": "<b>$name</b>"},
    ),
    Shape(
        "picture",
        HTTP,
        f"PNG = {PNG!r}\ndef handle(event, context):\n"
        '    return {"statusCode": 200, "body": PNG, "headers": {"Content-Type": "image/png"}}',
        Call(method="GET"),
        PNG,
        "image/png",
    ),
    Shape(
        "CSV",
        HTTP,
        "import csv, io\ndef handle(event, context):\n    rows = csv.DictReader(io.StringIO(event.body.decode()))\n"
        '    out = io.StringIO()\n    writer = csv.writer(out, lineterminator="\\n")\n'
        '    for row in rows:\n        writer.writerow([row["a"], int(row["b"]) * 2])\n'
        '    return {"body": out.getvalue(), "headers": {"Content-Type": "text/csv"}}',
        Call(b"a,b\nx,1\ny,2\n"),
        b"x,2\ny,4\n",
        "text/csv",
    ),
    Shape(
        "global cache",
        HTTP,
        "from functools import lru_cache\nhits = []\n@lru_cache(maxsize=None)\ndef slow(n):\n    hits.append(n)\n"
        '    return n * n\ndef handle(event, context):\n    slow(4); slow(4)\n    return f"{slow(4)} {len(hits)}"',
        Call(),
        b"16 1",
        HTML,
    ),
    Shape(
        "lazy connection",
        HTTP,
        "import sqlite3, threading\nlock = threading.Lock()\ndb = None\ndef connect():\n    global db\n"
        '    with lock:\n        if db is None:\n            db = sqlite3.connect(":memory:", check_same_thread=False)\n'
        '            db.execute("create table t (n)")\n    return db\ndef handle(event, context):\n'
        '    connect().execute("insert into t values (?)", (event.body.decode(),))\n'
        '    return {"body": [row[0] for row in connect().execute("select n from t")]}',
        Call(b"7"),
        b'["7"]\n',
        JSON,
    ),
    Shape(
        "variables",
        HTTP,
        'import os\nLIMIT = int(os.getenv("limit", "1"))\ndef handle(event, context):\n    return os.environ["greeting"] * LIMIT',
        Call(),
        b"hihi",
        HTML,
        env={"limit": "2", "greeting": "hi"},
    ),
    Shape(
        "class for errors",
        HTTP,
        "import json\nclass BadInput(Exception): pass\ndef handle(event, context):\n    try:\n"
        '        if not event.body: raise BadInput("empty body")\n        return "ok"\n    except BadInput as e:\n'
        '        return {"statusCode": 400, "body": json.dumps({"error": str(e)}), "headers": {"Content-Type": "application/json"}}',
        Call(),
        b'{"error": "empty body"}',
        JSON,
        400,
    ),
    Shape(
        "CORS",
        HTTP,
        'HEADERS = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET,POST"}\n'
        'def handle(event, context):\n    if event.method == "OPTIONS":\n        return {"statusCode": 204, "headers": HEADERS}\n'
        '    return {"statusCode": 200, "body": "x", "headers": HEADERS}',
        Call(method="OPTIONS"),
        b"",
        None,
        204,
        {"access-control-allow-origin": "*"},
    ),
    Shape(
        "cookies",
        HTTP,
        'def handle(event, context):\n    return {"body": "in", "headers": [("Set-Cookie", "a=1; HttpOnly"), ("Set-Cookie", "b=2")]}',
        Call(),
        b"in",
        HTML,
        headers={"set-cookie": "a=1; HttpOnly, b=2"},
    ),
    Shape(
        "server-sent events",
        HTTP,
        'def events():\n    for n in range(3):\n        yield f"data: {n}\\n\\n"\ndef handle(event, context):\n'
        '    return {"headers": {"Content-Type": "text/event-stream"}, "body": events()}',
        Call(method="GET"),
        b"data: 0\n\ndata: 1\n\ndata: 2\n\n",
        "text/event-stream",
    ),
    Shape(
        "async",
        HTTP,
        "import asyncio\nasync def part(n):\n    await asyncio.sleep(0)\n    return n\nasync def handle(event, context):\n"
        '    return {"body": await asyncio.gather(part(1), part(2))}',
        Call(),
        b"[1,2]\n",
        JSON,
    ),
    Shape(
        "thread pool",
        HTTP,
        "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)\ndef handle(event, context):\n"
        '    return {"body": list(pool.map(len, ["a", "bb"]))}',
        Call(),
        b"[1,2]\n",
        JSON,
    ),
    Shape(
        "command",
        HTTP,
        "import subprocess\ndef handle(event, context):\n"
        '    done = subprocess.run(["tr", "a-z", "A-Z"], input=event.body, capture_output=True, check=True)\n'
        '    return {"body": done.stdout, "headers": {"Content-Type": "text/plain"}}',
        Call(b"abc"),
        b"ABC",
        "text/plain",
    ),
    Shape(
        "temporary file",
        HTTP,
        "import tempfile\ndef handle(event, context):\n    with tempfile.NamedTemporaryFile() as f:\n"
        "        f.write(event.body); f.flush()\n        return open(f.name).read()[::-1]",
        Call(b"abc"),
        b"cba",
        HTML,
    ),
    Shape(
        "archive",
        HTTP,
        "import io, zipfile\ndef handle(event, context):\n    out = io.BytesIO()\n"
        '    with zipfile.ZipFile(out, "w") as z:\n        z.writestr("a.txt", event.body)\n'
        '    names = zipfile.ZipFile(io.BytesIO(out.getvalue())).namelist()\n    return {"body": names}',
        Call(b"abc"),
        b'["a.txt"]\n',
        JSON,
    ),
    Shape(
        "gzip",
        HTTP,
        'import gzip\ndef handle(event, context):\n    return {"body": gzip.compress(b"squeezed"), "headers":\n'
        '            {"Content-Encoding": "gzip", "Content-Type": "text/plain"}}',
        Call(),
        b"squeezed",
        "text/plain",
        headers={"content-encoding": "gzip"},
    ),
    Shape(
        "logging",
        HTTP,
        "import logging, sys\nlogging.basicConfig(stream=sys.stdout, level=logging.DEBUG)\nlog = logging.getLogger(__name__)\n"
        'def handle(event, context):\n    log.info("called %s", event.path)\n    return context.hostname and "logged"',
        Call(),
        b"logged",
        HTML,
    ),
    Shape(
        "class instance",
        HTTP,
        "class Service:\n    def __init__(self): self.calls = 0\n    def __call__(self, event, context):\n"
        "        self.calls += 1\n        return str(self.calls)\nhandle = Service()",
        Call(),
        b"1",
        HTML,
    ),
    Shape(
        "decorated",
        HTTP,
        "import functools, json\ndef as_json(f):\n    @functools.wraps(f)\n    def wrapper(event, context):\n"
        '        return {"statusCode": 200, "body": json.dumps(f(event, context)), "headers": {"Content-Type": "application/json"}}\n'
        '    return wrapper\n@as_json\ndef handle(event, context):\n    return {"path": event.path}',
        Call(path="/a/b"),
        b'{"path": "/a/b"}',
        JSON,
    ),
    Shape(
        "data class",
        HTTP,
        "import json\nfrom dataclasses import dataclass, asdict\n@dataclass\nclass Item:\n    name: str\n    price: float = 1.5\n"
        'def handle(event, context):\n    return {"body": asdict(Item(**json.loads(event.body)))}',
        Call(b'{"name": "n"}'),
        b'{"name":"n","price":1.5}\n',
        JSON,
    ),
    Shape(
        "module beside it",
        HTTP,
        "from . import logic\nfrom function.logic import double\ndef handle(event, context):\n"
        "    return str(logic.double(2) + double(3))",
        Call(),
        b"10",
        HTML,
        files={"logic.py": "def double(n): return 2 * n\n"},
    ),
    Shape(
        "uncaught exception",
        HTTP,
        'def handle(event, context):\n    return {"body": 1 / 0}',
        Call(),
        b"The handler raised an exception; see the function's log.",
        TEXT,
        500,
    ),
]

VIEW_SHAPES = [
    Shape(
        "hello",
        FLASK,
        'def handle(req):\n    return "Hello! You said: " + req',
        Call(b"hi"),
        b"Hello! You said: hi",
        HTML,
    ),
    Shape(
        "echo",
        FLASK,
        'def handle(req):\n    """handle a request to the function"""\n    return req',
        Call("ü".encode()),
        "ü".encode(),
        HTML,
    ),
    Shape(
        "JSON in",
        FLASK,
        'import json\ndef handle(req):\n    return json.loads(req)["name"]',
        Call(b'{"name": "n"}'),
        b"n",
        HTML,
    ),
    Shape(
        "dict out", FLASK, 'def handle(req):\n    return {"b": 1, "a": len(req)}', Call(b"xy"), b'{"a":2,"b":1}\n', JSON
    ),
    Shape("list out", FLASK, "def handle(req):\n    return req.split()", Call(b"a b"), b'["a","b"]\n', JSON),
    Shape(
        "dumped JSON",
        FLASK,
        'import json\ndef handle(req):\n    return json.dumps({"a": 1})',
        Call(),
        b'{"a": 1}',
        HTML,
    ),
    Shape("body and status", FLASK, 'def handle(req):\n    return "made", 201', Call(), b"made", HTML, 201),
    Shape(
        "body, status, headers",
        FLASK,
        'def handle(req):\n    return "<a/>", 200, {"Content-Type": "application/xml", "X-Own": "1"}',
        Call(),
        b"<a/>",
        "application/xml",
        headers={"x-own": "1"},
    ),
    Shape(
        "body and headers",
        FLASK,
        'def handle(req):\n    return "x", {"X-Own": "1"}',
        Call(),
        b"x",
        HTML,
        headers={"x-own": "1"},
    ),
    Shape(
        "bytes out",
        FLASK,
        f'def handle(req):\n    return {PNG!r}, 200, {{"Content-Type": "image/png"}}',
        Call(),
        PNG,
        "image/png",
    ),
    Shape(
        "raw body",
        FLASK,
        'def handle(req):\n    return f"{type(req).__name__} {len(req)}"',
        Call(bytes(range(256))),
        b"bytes 256",
        HTML,
        env={"RAW_BODY": "True"},
    ),
    Shape(
        "body that is no text",
        FLASK,
        "def handle(req):\n    return req",
        Call(b"\xff"),
        b"The body is no text in UTF-8, which the handler takes; with the variable RAW_BODY=true it gets bytes.",
        TEXT,
        500,
    ),
    Shape(
        "generator",
        FLASK,
        'def handle(req):\n    return (word + "\\n" for word in req.split())',
        Call(b"a b"),
        b"a\nb\n",
        HTML,
    ),
    Shape(
        "sum of numbers",
        FLASK,
        'def handle(req):\n    return str(sum(int(n) for n in req.split(",")))',
        Call(b"1,2,3"),
        b"6",
        HTML,
    ),
    Shape(
        "regular expression",
        FLASK,
        'import re\ndef handle(req):\n    return {"mails": re.findall(r"\\S+@\\S+", req)}',
        Call(b"to a@b.c and d@e.f"),
        b'{"mails":["a@b.c","d@e.f"]}\n',
        JSON,
    ),
    Shape(
        "variables",
        FLASK,
        'import os\ndef handle(req):\n    return os.environ.get("suffix", "") + req',
        Call(b"x"),
        b"-x",
        HTML,
        env={"suffix": "-"},
    ),
    Shape(
        "secret",
        FLASK,
        'def handle(req):\n    with open("/var/openfaas/secrets/shape") as f:\n        key = f.read().strip()\n    return str(len(key))',
        Call(),
        str(len(KEY)).encode(),
        HTML,
    ),
    Shape(
        "file beside it",
        FLASK,
        'def handle(req):\n    return open("./function/words.txt").read()',
        Call(),
        b"words",
        HTML,
        files={"words.txt": "words"},
    ),
    Shape(
        "global counter",
        FLASK,
        "count = 0\ndef handle(req):\n    global count\n    count += 1\n    return str(count)",
        Call(),
        b"1",
        HTML,
    ),
    Shape(
        "exception",
        FLASK,
        'def handle(req):\n    raise ValueError("why")',
        Call(),
        b"The handler raised an exception; see the function's log.",
        TEXT,
        500,
    ),
    Shape(
        "nothing",
        FLASK,
        "def handle(req):\n    pass",
        Call(),
        b"The handler returned what cannot be sent; see the function's log.",
        TEXT,
        500,
    ),
    Shape(
        "request of Flask",
        FLASK,
        "from flask import request\ndef handle(req):\n    return f\"{request.method} {request.path} {request.args.get('a')} {req}\"",
        Call(b"x", "/p/q?a=1", "PUT"),
        b"PUT /p/q 1 x",
        HTML,
    ),
    Shape(
        "headers of Flask",
        FLASK,
        'from flask import request\ndef handle(req):\n    return request.headers["X-Own"] + request.headers.get("x-none", "-")',
        Call(headers={"X-Own": "1"}),
        b"1-",
        HTML,
    ),
    Shape(
        "JSON of Flask",
        FLASK,
        'from flask import request, jsonify\ndef handle(req):\n    return jsonify(twice=request.get_json()["n"] * 2)',
        Call(b'{"n": 2}', headers={"Content-Type": "application/json"}),
        b'{"twice":4}\n',
        JSON,
    ),
    Shape(
        "JSON that is none",
        FLASK,
        'from flask import request\ndef handle(req):\n    return request.get_json()["n"]',
        Call(b"{", headers={"Content-Type": "application/json"}),
        b"Bad Request",
        HTML,
        400,
    ),
    Shape(
        "form of Flask",
        FLASK,
        'from flask import request\ndef handle(req):\n    return request.form["name"]',
        Call(b"name=a+b", headers=FORM),
        b"a b",
        HTML,
    ),
    Shape(
        "response of Flask",
        FLASK,
        'from flask import make_response\ndef handle(req):\n    answer = make_response("in", 201)\n    answer.set_cookie("a", "1")\n'
        '    answer.headers["X-Own"] = "1"\n    return answer',
        Call(),
        b"in",
        HTML,
        201,
        {"set-cookie": "a=1; Path=/", "x-own": "1"},
    ),
    Shape(
        "Response and status",
        FLASK,
        'from flask import Response\ndef handle(req):\n    return Response("a,b", mimetype="text/csv"), 202',
        Call(),
        b"a,b",
        "text/csv; charset=utf-8",
        202,
    ),
    Shape("abort", FLASK, "from flask import abort\ndef handle(req):\n    abort(404)", Call(), b"Not Found", HTML, 404),
    Shape(
        "redirect",
        FLASK,
        'from flask import redirect\ndef handle(req):\n    return redirect("/next")',
        Call(),
        b"Redirecting",
        HTML,
        302,
        {"location": "/next"},
    ),
    Shape(
        "stream with context",
        FLASK,
        "from flask import Response, request, stream_with_context\ndef handle(req):\n    def pieces():\n"
        '        yield "a"\n        yield request.args["b"]\n    return Response(stream_with_context(pieces()), mimetype="text/plain")',
        Call(path="/?b=2"),
        b"a2",
        TEXT,
    ),
    Shape(
        "send_file",
        FLASK,
        'from flask import send_file\ndef handle(req):\n    return send_file("function/data.txt", mimetype="text/plain")',
        Call(method="GET"),
        b"data",
        TEXT,
        files={"data.txt": "data"},
    ),
    Shape(
        "Flask imported in the call",
        FLASK,
        "def handle(req):\n    from flask import request\n    return request.method",
        Call(method="PATCH"),
        b"PATCH",
        HTML,
    ),
    Shape(
        "async with Flask",
        FLASK,
        "import asyncio\nfrom flask import request\nasync def handle(req):\n    await asyncio.sleep(0)\n    return request.path",
        Call(path="/a"),
        b"/a",
        HTML,
    ),
    Shape(
        "event beside Flask",
        HTTP,
        "from flask import request, jsonify\ndef handle(event, context):\n"
        '    return jsonify(same=event.query.get("a") == request.args["a"], body=event.body.decode(), kind=type(event.headers).__name__)',
        Call(b"x", "/?a=1"),
        b'{"body":"x","kind":"EnvironHeaders","same":true}\n',
        JSON,
    ),
    Shape(
        "exception with Flask",
        FLASK,
        'import flask\ndef handle(req):\n    raise KeyError("why")',
        Call(),
        b"The handler raised an exception; see the function's log.",
        TEXT,
        500,
    ),
]

CLASSIC_SHAPES = [
    Shape("echo", CLASSIC, "def handle(req):\n    return req", Call(b"hi"), b"hi\n", TEXT),
    Shape(
        "print",
        CLASSIC,
        'def handle(req):\n    print("Hello! You said: " + req)',
        Call(b"hi"),
        b"Hello! You said: hi\n",
        TEXT,
    ),
    Shape(
        "query of the workshop",
        CLASSIC,
        'import os\ndef handle(req):\n    print(os.getenv("Http_Query"))',
        Call(path="/?a=1&b=2", method="GET"),
        b"a=1&b=2\n",
        TEXT,
    ),
    Shape(
        "path and method",
        CLASSIC,
        'import os\ndef handle(req):\n    print(os.environ["Http_Method"], os.environ["Http_Path"])',
        Call(path="/x/y", method="DELETE"),
        b"DELETE /x/y\n",
        TEXT,
    ),
    Shape(
        "header",
        CLASSIC,
        'import os\ndef handle(req):\n    print(os.getenv("Http_X_Own"))',
        Call(headers={"X-Own": "1"}),
        b"1\n",
        TEXT,
    ),
    Shape(
        "query parsed",
        CLASSIC,
        'import os\nfrom urllib.parse import parse_qs\ndef handle(req):\n    print(parse_qs(os.environ["Http_Query"])["name"][0])',
        Call(path="/?name=a%20b", method="GET"),
        b"a b\n",
        TEXT,
    ),
    Shape(
        "at import",
        CLASSIC,
        'import os\nQUERY = os.environ["Http_Query"]\ndef handle(req):\n    print(QUERY)',
        Call(path="/?q", method="GET"),
        b"q\n",
        TEXT,
    ),
    Shape(
        "JSON",
        CLASSIC,
        'import json\ndef handle(req):\n    print(json.dumps({"n": json.loads(req)["n"] + 1}))',
        Call(b'{"n": 1}'),
        b'{"n": 2}\n',
        TEXT,
    ),
    Shape(
        "page",
        CLASSIC,
        'def handle(req):\n    print("<html><body>x</body></html>")',
        Call(),
        b"<html><body>x</body></html>\n",
        HTML,
    ),
    Shape(
        "page with a forced type",
        CLASSIC,
        'def handle(req):\n    print("<svg/>")',
        Call(),
        b"<svg/>\n",
        "image/svg+xml",
        env={"content_type": "image/svg+xml"},
    ),
    Shape(
        "picture",
        CLASSIC,
        f"import sys\ndef handle(req):\n    sys.stdout.buffer.write({PNG!r})",
        Call(),
        PNG,
        "image/png",
    ),
    Shape(
        "picture as base64",
        CLASSIC,
        'import base64\ndef handle(req):\n    print(base64.b64encode(req.encode()).decode(), end="")',
        Call(b"abc"),
        b"YWJj",
        TEXT,
    ),
    Shape(
        "lines",
        CLASSIC,
        "def handle(req):\n    for line in req.splitlines():\n        print(line[::-1])",
        Call(b"ab\ncd"),
        b"ba\ndc\n",
        TEXT,
    ),
    Shape(
        "word count",
        CLASSIC,
        "from collections import Counter\ndef handle(req):\n    for word, n in sorted(Counter(req.split()).items()):\n        print(word, n)",
        Call(b"b a b"),
        b"a 1\nb 2\n",
        TEXT,
    ),
    Shape(
        "standard input read again",
        CLASSIC,
        "import sys\ndef handle(req):\n    print(len(req), repr(sys.stdin.read()))",
        Call(b"abc"),
        b"3 ''\n",
        TEXT,
    ),
    Shape(
        "written in pieces",
        CLASSIC,
        'import sys\ndef handle(req):\n    sys.stdout.write("a")\n    sys.stdout.flush()\n    print("b", end="")',
        Call(),
        b"ab",
        TEXT,
    ),
    Shape(
        "standard error",
        CLASSIC,
        'import sys\ndef handle(req):\n    sys.stderr.write("warning\\n")\n    print("x")',
        Call(),
        b"x\n",
        TEXT,
        env={"combine_output": "false"},
    ),
    Shape(
        "logging",
        CLASSIC,
        'import logging\nlogging.basicConfig(level=logging.INFO)\ndef handle(req):\n    logging.info("in")\n    print("x")',
        Call(),
        b"INFO:root:in\nx\n",
        TEXT,
    ),
    Shape(
        "exit status",
        CLASSIC,
        'import sys\ndef handle(req):\n    print("no")\n    sys.exit(1)',
        Call(),
        b"exit status 1\nno\n",
        TEXT,
        500,
    ),
    Shape("exit of success", CLASSIC, 'def handle(req):\n    print("yes")\n    exit(0)', Call(), b"yes\n", TEXT),
    Shape(
        "command",
        CLASSIC,
        'import os\ndef handle(req):\n    os.system("echo from a shell")',
        Call(),
        b"from a shell\n",
        TEXT,
    ),
    Shape(
        "subprocess",
        CLASSIC,
        'import subprocess\ndef handle(req):\n    return subprocess.run(["cat"], input=req, text=True, capture_output=True).stdout.upper()',
        Call(b"abc"),
        b"ABC\n",
        TEXT,
    ),
    Shape(
        "secret",
        CLASSIC,
        'def handle(req):\n    with open("/var/openfaas/secrets/shape") as f:\n        print(len(f.read()))',
        Call(),
        f"{len(KEY)}\n".encode(),
        TEXT,
    ),
    Shape(
        "webhook with HMAC",
        CLASSIC,
        'import hmac, os, hashlib\ndef handle(req):\n    key = open("/var/openfaas/secrets/shape").read()\n'
        '    wanted = "sha256=" + hmac.new(key.encode(), req.encode(), hashlib.sha256).hexdigest()\n'
        '    print("ok" if hmac.compare_digest(wanted, os.getenv("Http_X_Hub_Signature_256", "")) else "bad")',
        Call(b"p", headers={"X-Hub-Signature-256": _sign(b"p")}),
        b"ok\n",
        TEXT,
    ),
    Shape(
        "variables",
        CLASSIC,
        'import os\ndef handle(req):\n    print(os.getenv("greeting"), req)',
        Call(b"x"),
        b"hi x\n",
        TEXT,
        env={"greeting": "hi"},
    ),
    Shape(
        "file beside it",
        CLASSIC,
        'def handle(req):\n    print(open("function/words.txt").read())',
        Call(),
        b"words\n",
        TEXT,
        files={"words.txt": "words"},
    ),
    Shape(
        "module beside it",
        CLASSIC,
        "from . import logic\nimport logic as plain\ndef handle(req):\n    print(logic.N + plain.N)",
        Call(),
        b"4\n",
        TEXT,
        files={"logic.py": "N = 2\n"},
    ),
    Shape(
        "globals are new",
        CLASSIC,
        "seen = []\ndef handle(req):\n    seen.append(1)\n    print(len(seen))",
        Call(),
        b"1\n",
        TEXT,
    ),
    Shape(
        "async",
        CLASSIC,
        'import asyncio\nasync def work():\n    await asyncio.sleep(0)\n    print("awaited")\ndef handle(req):\n'
        "    asyncio.run(work())",
        Call(),
        b"awaited\n",
        TEXT,
    ),
    Shape(
        "threads",
        CLASSIC,
        'import threading\ndef handle(req):\n    threads = [threading.Thread(target=print, args=("t",)) for _ in range(2)]\n'
        "    [t.start() for t in threads]",
        Call(),
        b"t\nt\n",
        TEXT,
    ),
    Shape(
        "pool",
        CLASSIC,
        'from multiprocessing import Pool\ndef handle(req):\n    with Pool(2) as pool:\n        print(pool.map(len, ["a", "bb"]))',
        Call(),
        b"[1, 2]\n",
        TEXT,
    ),
    Shape("crash", CLASSIC, "import os\ndef handle(req):\n    os.abort()", Call(), b"killed by signal 6\n", TEXT, 500),
    Shape(
        "too slow",
        CLASSIC,
        "import time\ndef handle(req):\n    time.sleep(60)",
        Call(),
        b"Killed process.",
        TEXT,
        408,
        env={"exec_timeout": "50ms"},
    ),
    Shape("exception", CLASSIC, 'def handle(req):\n    return {}["deep"]', Call(), b"KeyError: 'deep'\n", TEXT, 500),
]

SHAPES = [*EVENT_SHAPES, *VIEW_SHAPES, *CLASSIC_SHAPES]
