// Serves function/handler.js by the convention of the OpenFaaS node templates, on the port in $PORT, with nothing but Node.
//
//     module.exports = async (event, context) => context.status(200).headers({...}).succeed("...")
//
// event: body, headers, method, query, path, contentType. What the handler returns is the answer, too, and so is what it
// gives to a callback as its third argument. Handlers of the classic template, (context, callback) => {...}, are known
// by the names of their arguments, and get the body as text. The watchdog in front reads the body with its own bound and time-outs.
'use strict';

const fs = require('fs');
const http = require('http');
const path = require('path');
const { pathToFileURL } = require('url');

const MAX_BODY_BYTES = 256 * 1024 * 1024;
const HANDLER = path.join(__dirname, 'function', 'handler');
const KINDS = ['.js', '.cjs', '.mjs'];
const CLASSIC = /^(?:async\b)?\s*(?:function\b[^(]*)?\(?\s*(?:context\b|[\w$]+\s*,\s*(?:callback|cb|done)\s*\))/;

async function load() {
  const file = KINDS.map((kind) => HANDLER + kind).find((name) => fs.existsSync(name)) || HANDLER;
  let loaded;
  try {
    loaded = require(file);
  } catch (error) {
    if (error.code !== 'ERR_REQUIRE_ESM' && error.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
    loaded = await import(pathToFileURL(file).href);
  }
  for (const found of [loaded, loaded && loaded.default, loaded && loaded.handler, loaded && loaded.handle]) {
    if (typeof found === 'function') return found;
  }
  throw new TypeError('function/handler.js exports no function; write: module.exports = async (event, context) => {...}');
}

class FunctionEvent {
  constructor(request, body) {
    const at = request.url.indexOf('?');
    this.body = body;
    this.headers = request.headers;
    this.method = request.method;
    this.query = values(new URLSearchParams(at < 0 ? '' : request.url.slice(at + 1)));
    this.path = at < 0 ? request.url : request.url.slice(0, at);
    this.contentType = request.headers['content-type'];
  }
}

class FunctionContext {
  constructor(answer) {
    this.statusCode = 200;
    this.headerValues = {};
    this.cbCalled = 0;
    this.cb = (error, value) => {
      this.cbCalled += 1;
      answer(error, value);
    };
  }

  status(code) {
    if (code === undefined) return this.statusCode;
    this.statusCode = code;
    return this;
  }

  headers(values) {
    if (values === undefined) return this.headerValues;
    this.headerValues = values;
    return this;
  }

  succeed(value) {
    this.cb(undefined, value);
  }

  fail(error) {
    this.cb(error === undefined ? new Error('the handler failed') : error);
  }
}

function values(parameters) {
  const found = {};
  for (const [name, value] of parameters) {
    if (!Object.prototype.hasOwnProperty.call(found, name)) {
      Object.defineProperty(found, name, { value, enumerable: true, writable: true, configurable: true });
    } else {
      found[name] = [].concat(found[name], value);
    }
  }
  return found;
}

class BadBody extends Error {}

function parsed(request, raw) {
  const kind = (request.headers['content-type'] || '').split(';')[0].trim().toLowerCase();
  if (process.env.RAW_BODY === 'true') return raw;
  if (kind === 'application/json' || kind.endsWith('+json')) {
    if (!raw.length) return {};
    try {
      return JSON.parse(raw.toString('utf8'));
    } catch (error) {
      throw new BadBody(`the body is not JSON, which its content type says: ${error.message}`);
    }
  }
  if (kind === 'application/x-www-form-urlencoded') return values(new URLSearchParams(raw.toString('utf8')));
  return kind === '' || kind.startsWith('text/') ? raw.toString('utf8') : raw;
}

function read(request) {
  return new Promise((resolve, reject) => {
    const pieces = [];
    let size = 0;
    request.on('data', (piece) => {
      size += piece.length;
      if (size <= MAX_BODY_BYTES) pieces.push(piece);
    });
    request.on('end', () => {
      if (size > MAX_BODY_BYTES) reject(new BadBody(`the body has more than ${MAX_BODY_BYTES} bytes`));
      else resolve(Buffer.concat(pieces));
    });
    request.on('error', reject);
  });
}

function encoded(value) {
  if (value === undefined || value === null) return [Buffer.alloc(0), undefined];
  if (value instanceof ArrayBuffer) return [Buffer.from(value), 'application/octet-stream'];
  if (ArrayBuffer.isView(value)) {
    return [Buffer.from(value.buffer, value.byteOffset, value.byteLength), 'application/octet-stream'];
  }
  if (typeof value === 'string') return [Buffer.from(value), 'text/html; charset=utf-8'];
  return [Buffer.from(JSON.stringify(value) || ''), 'application/json; charset=utf-8'];
}

function send(response, status, headers, value) {
  const [body, kind] = encoded(value);
  const code = Number(status);
  if (!Number.isInteger(code) || code < 200 || code > 599) throw new RangeError(`status ${status} cannot be answered`);
  for (const [name, text] of Object.entries(headers || {})) {
    if (!['content-length', 'transfer-encoding', 'connection'].includes(name.toLowerCase())) {
      response.setHeader(name, Array.isArray(text) ? text.map(String) : String(text));
    }
  }
  if (kind && !response.hasHeader('content-type')) response.setHeader('content-type', kind);
  response.writeHead(code, { 'content-length': body.length });
  response.end(body);
}

function fail(response, error) {
  console.error(error);
  if (response.headersSent) return response.destroy();
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.writeHead(500);
  const text = error instanceof Error ? error.toString() : typeof error === 'string' ? error : JSON.stringify(error);
  return response.end(`${text}`);
}

async function main() {
  const handler = await load();
  const classic = CLASSIC.test(Function.prototype.toString.call(handler));
  const server = http.createServer({ maxHeaderSize: 256 * 1024 }, async (request, response) => {
    let answered = false;
    const answer = (error, value) => {
      if (answered) return;
      answered = true;
      try {
        if (error) fail(response, error);
        else send(response, context.statusCode, context.headerValues, value);
      } catch (unsendable) {
        fail(response, unsendable);
      }
    };
    const context = new FunctionContext(answer);
    try {
      const body = await read(request);
      const result = classic
        ? handler(body.toString('utf8'), context.cb)
        : handler(new FunctionEvent(request, parsed(request, body)), context, context.cb);
      const value = await result;
      // A handler that takes a callback answers by it, now or later.
      const waits = value === undefined && (classic ? handler.length > 1 && result === undefined : handler.length > 2);
      if (!context.cbCalled && !waits) context.succeed(value);
    } catch (error) {
      if (error instanceof BadBody && !answered) {
        answered = true;
        response.writeHead(400, { 'content-type': 'text/plain; charset=utf-8' });
        response.end(`${error.message}\n`);
      } else {
        answer(error || new Error('the handler threw nothing that tells why'));
      }
    }
  });
  server.requestTimeout = 0;
  server.headersTimeout = 0;
  server.keepAliveTimeout = 0;
  server.listen(Number(process.env.PORT || process.env.http_port || 3000), '127.0.0.1');
  process.on('SIGTERM', () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
