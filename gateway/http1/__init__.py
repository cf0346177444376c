"""HTTP/1.1 messages as bytes: heads checked against the grammar of RFC 9112 and bodies cut out of a stream.

Pure: bytes in, values out, no I/O and no time. A head is matched as a whole by one regular expression that is the
grammar, and nothing that it does not match is ever forwarded; what passes is forwarded as it came, undecoded. Anything
two recipients could read differently (two lengths, a bare line feed, a folded line, a space before a colon) is
Malformed.
"""
