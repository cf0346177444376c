"""HTTP/1.1 messages as bytes: heads checked by the grammar of RFC 9112, bodies cut out of a stream, answers written.

Pure: bytes in, values out, no I/O and no time. A head is matched as a whole by one regular expression that is the
grammar. Anything that two recipients could read differently is Malformed, and what no recipient could read is never
sent: it is Unsendable.

The gateway has the same grammar (``gateway/http1``). It is repeated here on purpose: the watchdog imports nothing of
the suite, and needs neither trailers nor heads as they came.
"""
