"""What is unpacked from a build request, and what is refused by name."""

from __future__ import annotations

import contextlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.provider.process.builder.archive import ArchiveLimits, BuildRequest, unpack
from springtide.runtime.errors import BadInput
from tests.provider.process.builder.archives import (
    IMAGE,
    PYTHON3_HTTP,
    archive,
    build_request,
    member,
    request_file,
    with_checksums,
)

SMALL = ArchiveLimits(files=50, expanded_bytes=100_000, path_bytes=200, depth=8)
REQUEST = member("com.openfaas.docker.config", request_file())
FOLDER = member("context/", kind=tarfile.DIRTYPE, mode=0o755)


def unpacked(body: bytes, folder: Path, limits: ArchiveLimits = SMALL) -> BuildRequest:
    folder.mkdir(exist_ok=True)
    return unpack(io.BytesIO(body), folder, limits)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_what_faas_cli_sends_is_unpacked(tmp_path: Path) -> None:
    request = unpacked(build_request(PYTHON3_HTTP), tmp_path / "new")

    assert request.image == IMAGE
    assert request.context == tmp_path / "new" / "context"
    assert {
        file.relative_to(request.context).as_posix(): file.read_text()
        for file in request.context.rglob("*")
        if file.is_file()
    } == PYTHON3_HTTP


@pytest.mark.parametrize(
    "tar_format",
    [
        pytest.param(tarfile.USTAR_FORMAT, id="ustar"),
        pytest.param(tarfile.GNU_FORMAT, id="gnu"),
        pytest.param(tarfile.PAX_FORMAT, id="pax"),
    ],
)
def test_names_that_are_long_or_not_ascii_come_through(tmp_path: Path, tar_format: int) -> None:
    name = f"context/function/{'lang' * 10}/übung{'' if tar_format == tarfile.USTAR_FORMAT else 'x' * 100}.py"

    request = unpacked(archive([REQUEST, member(name, b"1")], tar_format=tar_format), tmp_path / "new")

    assert (request.context.parent / name).read_bytes() == b"1"


def test_a_tar_made_by_hand_may_begin_its_names_with_a_dot(tmp_path: Path) -> None:
    dot = member("./", kind=tarfile.DIRTYPE)
    body = archive([dot, member("./com.openfaas.docker.config", request_file()), member("./context/handler.py", b"1")])

    assert (unpacked(body, tmp_path / "new").context / "handler.py").read_bytes() == b"1"


def test_modes_are_ours(tmp_path: Path) -> None:
    body = archive([REQUEST, member("context/run", b"", mode=0o777), member("context/text", b"", mode=0o222)])

    context = unpacked(body, tmp_path / "new").context

    assert [(context / name).stat().st_mode & 0o7777 for name in ("run", "text")] == [0o755, 0o644]


def test_links_to_files_inside_are_kept_and_a_hard_link_is_a_copy(tmp_path: Path) -> None:
    soft = member("context/soft", kind=tarfile.SYMTYPE, link="function/handler.py")
    hard = member("context/hard", kind=tarfile.LNKTYPE, link="context/function/handler.py")
    body = archive([REQUEST, soft, member("context/function/handler.py", b"1"), hard])

    context = unpacked(body, tmp_path / "new").context

    assert (context / "soft").read_bytes() == (context / "hard").read_bytes() == b"1"
    assert (context / "hard").stat().st_nlink == 1


SYM, LNK, DIR = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
HOSTILE = [
    pytest.param([member("/etc/passwd", b"x")], "'/etc/passwd' has an absolute name", id="absolute"),
    pytest.param([member("context/../../x", b"x")], "leads out of the context by '..'", id="dots"),
    pytest.param([member("../context/x", b"x")], "leads out of the context by '..'", id="dots first"),
    pytest.param([member("elsewhere/x", b"x")], "is neither com.openfaas.docker.config nor below context/", id="other"),
    pytest.param([member("context", b"x")], "'context' must be a folder", id="context is a file"),
    pytest.param([member("context", kind=SYM, link="outside")], "'context' must be a folder", id="context is a link"),
    pytest.param([member("context/a", kind=SYM, link="/etc/passwd")], "absolute or unusable", id="link absolute"),
    pytest.param([member("context/a", kind=SYM, link="../../x")], "which is not there", id="link out to nothing"),
    pytest.param([member("context/a", kind=SYM, link="../outside")], "leads out of the context", id="link out"),
    pytest.param(
        [
            member("context/d/e/x", kind=DIR),
            member("context/up", kind=SYM, link="d/e/x/../../../../outside"),
        ],
        "leads out of the context",
        id="link out by dots",
    ),
    pytest.param([member("context/a", kind=SYM, link=".")], "which is no file", id="link to a folder"),
    pytest.param([member("context/a", kind=SYM, link="a")], "which is not there", id="link to itself"),
    pytest.param([member("context/a", kind=SYM, link="")], "absolute or unusable", id="link to nowhere"),
    pytest.param(
        [member("context/a", kind=SYM, link="b"), member("context/a/x", b"x")], "lies below a link", id="below a link"
    ),
    pytest.param(
        [member("context/a", kind=SYM, link="b"), member("context/a", b"x")], "comes twice", id="file over a link"
    ),
    pytest.param([member("context/a", b"x"), member("context/./a", b"y")], "comes twice", id="twice"),
    pytest.param([member("context/a", b"x"), member("context/a/b", b"y")], "lies below a file", id="below a file"),
    pytest.param([member("context/a/b", b"x"), member("context/a", b"y")], "comes twice", id="file over a folder"),
    pytest.param([REQUEST], "comes twice", id="request twice"),
    pytest.param([member("context/a", kind=LNK, link="context/none")], "is no file before it", id="hard link"),
    pytest.param([member("context/a", kind=LNK, link="../outside")], "by '..'", id="hard link out"),
    pytest.param([member("context/a", kind=LNK, link="/etc/passwd")], "absolute name", id="hard link absolute"),
    pytest.param(
        [member("context/a", kind=LNK, link="com.openfaas.docker.config")], "is no file before it", id="hard link up"
    ),
    pytest.param([member("context/a", kind=tarfile.CHRTYPE)], "is a device, a pipe", id="device"),
    pytest.param([member("context/a", kind=tarfile.BLKTYPE)], "is a device, a pipe", id="block device"),
    pytest.param([member("context/a", kind=tarfile.FIFOTYPE)], "is a device, a pipe", id="pipe"),
    pytest.param([member("context/a", b"x", mode=0o4755)], "has a setuid or setgid bit", id="setuid"),
    pytest.param([member("context/a", b"x", mode=0o2755)], "has a setuid or setgid bit", id="setgid"),
    pytest.param([member("context/a\nb", b"x")], "has control characters", id="control characters"),
    pytest.param([member("context/" + "x/" * 9 + "a", b"x")], "has too long a name", id="deep"),
    pytest.param([member("context/" + "x" * 201, b"x")], "has too long a name", id="long"),
    pytest.param([member("context/a", b"x" * 100_001)], "have more than 100000 bytes", id="large"),
    pytest.param([member("context/a", b"x" * 60_000), member("context/b", b"x" * 60_000)], "have more than", id="sum"),
    pytest.param(
        [member("context/a", b"x" * 60_000), member("context/b", kind=LNK, link="context/a")], "have more", id="copies"
    ),
    pytest.param([member(f"context/{number}", b"") for number in range(50)], "more than 50 entries", id="many"),
]


@pytest.mark.parametrize(("members", "why"), HOSTILE)
def test_what_leads_out_or_is_too_much_is_refused_by_name(
    members: list[tuple[tarfile.TarInfo, bytes]], why: str, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "outside").write_text("not theirs")

    with pytest.raises(BadInput, match="the archive") as refused:
        unpacked(archive([REQUEST, *members]), tmp_path / "new")

    assert why in str(refused.value)
    assert (tmp_path / "new" / "outside").read_text() == "not theirs"
    assert names(tmp_path) == ["new"]


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    entry, _ = member("context/a", b"")
    entry.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(1 << 50)}

    with pytest.raises(BadInput, match="is a sparse file"):
        unpacked(archive([REQUEST, (entry, b"")], tar_format=tarfile.PAX_FORMAT), tmp_path / "new")


def test_a_size_below_zero_ends_the_reading(tmp_path: Path) -> None:
    entry, _ = member("context/a", b"")
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"  # base-256: -256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)

    with pytest.raises(BadInput):
        unpacked(archive([REQUEST])[:1024] + bytes(header) + bytes(1024), tmp_path / "new")


@pytest.mark.parametrize("left", [1024 + 100, 1024 + 512 + 1])
def test_an_archive_that_was_cut_off_is_refused_and_not_built_without_its_end(left: int, tmp_path: Path) -> None:
    whole = archive([REQUEST, member("context/handler.py", b"x = 1"), member("context/lib.py", b"y = 1")])
    body = whole[: len(archive([REQUEST])[:1024]) + left]

    with pytest.raises(BadInput, match="not a tar archive that can be read"):
        unpacked(body, tmp_path / "new")


def test_an_archive_with_a_damaged_entry_is_refused_and_not_built_without_the_rest(tmp_path: Path) -> None:
    whole = archive([REQUEST, member("context/handler.py", b"x = 1"), member("context/lib.py", b"y = 1")])

    with pytest.raises(BadInput, match="is no entry"):
        unpacked(whole.replace(b"context/lib.py", b"context/lib.\xff\xfe"), tmp_path / "new")


def test_an_archive_whose_end_is_not_marked_is_unpacked(tmp_path: Path) -> None:
    whole = archive([REQUEST, member("context/handler.py", b"x = 1")])

    unpacked(whole[: 4 * 512], tmp_path / "new")

    assert (tmp_path / "new" / "context" / "handler.py").read_bytes() == b"x = 1"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(b"", "not a tar archive", id="empty"),
        pytest.param(b"\x1f\x8b" + bytes(1000), "not a tar archive", id="compressed"),
        pytest.param(archive([FOLDER]), "has no com.openfaas.docker.config", id="no request"),
        pytest.param(archive([REQUEST]), "has no context/", id="no context"),
        pytest.param(archive([member(REQUEST[0].name, b"{"), FOLDER]), "not readable as JSON", id="no JSON"),
        pytest.param(archive([member(REQUEST[0].name, b"[]"), FOLDER]), "must be a JSON object", id="no object"),
        pytest.param(
            archive([member(REQUEST[0].name, request_file(buildArgs={"A": 1})), FOLDER]), "buildArgs", id="build args"
        ),
    ],
)
def test_a_body_that_is_no_build_request_is_refused(body: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=why):
        unpacked(body, tmp_path / "new")


@given(data=st.data())
def test_whatever_bytes_are_changed_nothing_gets_out(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A request with some bytes replaced is unpacked or refused: nothing else is written, and nothing else raised."""
    body = bytearray(build_request(PYTHON3_HTTP))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(body) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=16))
        body[at : at + len(piece)] = piece
    place = tmp_path_factory.mktemp("fuzzed")

    with contextlib.suppress(BadInput):
        unpacked(with_checksums(bytes(body)), place / "new")

    assert names(place) == ["new"]
    assert set(names(place / "new")) <= {"context"}
