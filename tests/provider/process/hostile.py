"""A function that tries to get out: each attempt answers ``got`` and what it has, or why it has not."""

from __future__ import annotations

ATTEMPTS = '''
import ctypes, json, mmap, os, signal, socket, subprocess, sys, threading, time
from pathlib import Path

def handle(event, context):
    asked = json.loads(event.body)
    try:
        return json.dumps(["got", globals()[asked["attempt"]](**asked.get("with", {}))])
    except BaseException as error:
        return json.dumps(["not", f"{type(error).__name__}: {error}"[:300]])

def read(path):
    return Path(path).read_text()[:100]

def listing(path):
    return sorted(os.listdir(path))[:20]

def write(path):
    Path(path).write_text("was here")
    return path

def chmod(path):
    os.chmod(path, 0o777)
    return path

def environment(pid):
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\\0")
    if words == [b""]:
        raise OSError("empty")
    return words[0].decode(errors="replace")

def signalled(pid):
    os.kill(pid, 0)
    return pid

def call(port, protocol=0):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as own:
        own.settimeout(5)
        own.connect(("127.0.0.1", port))
        return port

def call_by_first_data(port):
    with socket.socket() as own:
        own.settimeout(5)
        own.sendto(b"x", 0x20000000, ("127.0.0.1", port))
        return port

def abstract(name):
    with socket.socket(socket.AF_UNIX) as own:
        own.settimeout(5)
        own.connect("\\0" + name)
        return name

def fill(path, size):
    written, block = 0, b"x" * (1 << 20)
    try:
        with open(path, "wb") as file:
            while written < size:
                written += file.write(block)
    finally:
        with __import__("contextlib").suppress(OSError):
            os.unlink(path)
    return written

def processes(count):
    """As many that do nothing; told is how many there were."""
    children = []
    try:
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            children.append(pid)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)
        if len(children) < count:
            raise OSError(f"there were no more than {len(children)}")
    return len(children)

def daemon(mark):
    """A program that leaves the group, the session and the family."""
    code = "import os,time\\nos.setsid()\\nif os.fork(): os._exit(0)\\nos.setsid()\\nos.chdir('/')\\ntime.sleep(600)"
    nothing = subprocess.DEVNULL
    subprocess.Popen([sys.executable, "-I", "-c", code, mark], env={}, stdout=nothing, stderr=nothing).wait()
    return mark

def traced(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.waitpid(pid, 0)
    libc.ptrace(17, pid, None, None)
    return pid

def mounted():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10020000) != 0 or libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "mounted"

def memory(size, hold_s):
    """Whoever looks now and then has the time to."""
    held = []
    for _ in range(size >> 24):
        block = mmap.mmap(-1, 1 << 24, flags=mmap.MAP_PRIVATE)
        block[:: mmap.PAGESIZE] = b"x" * ((1 << 24) // mmap.PAGESIZE)
        held.append(block)
    time.sleep(hold_s)
    return size
'''
