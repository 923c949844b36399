import hashlib
import io
import os
import re
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from odenet.data.fetch import fetch
from odenet.data.files import PublishedFile, PublishedSet
from odenet.errors import DataError

CONTENT = bytes(range(256)) * 2000


def md5(content):
    return hashlib.md5(content).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `pages` and notes every request as (path, Range header)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages = {}
        self.requests = []
        self.knows_ranges = True
        self.breaks_off_after = None

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.requests.append((self.path[1:], wanted))
        body = self.server.pages.get(self.path[1:])
        if body is None:
            self.send_error(404)
            return
        start = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        if start and self.server.knows_ranges:
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            body = body[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.breaks_off_after])

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def published(*urls):
    return {
        "tiny": PublishedSet("tiny", "ours", (PublishedFile("a.gz", md5(CONTENT), None, urls),))
    }


def part_of(folder: Path):
    return folder / "tiny" / "a.gz.part"


def leave(path: Path, content: bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_fetch_downloads_once_and_keeps_a_good_file(server, tmp_path, capfd):
    server.pages["a"] = CONTENT
    sets = published(server.url("a"))
    for _ in range(2):
        (status,) = fetch("tiny", tmp_path, published=sets)
        assert status.state == "ok"
    assert (tmp_path / "tiny" / "a.gz").read_bytes() == CONTENT
    assert server.requests == [("a", None)]
    assert os.listdir(tmp_path / "tiny") == ["a.gz"]
    # Without a terminal nothing is drawn.
    assert capfd.readouterr() == ("", "")


def test_fetch_asks_only_for_what_an_earlier_try_left_out(server, tmp_path):
    server.pages["a"] = CONTENT
    leave(part_of(tmp_path), CONTENT[:1000])
    fetch("tiny", tmp_path, published=published(server.url("a")))
    assert server.requests == [("a", "bytes=1000-")]
    assert (tmp_path / "tiny" / "a.gz").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [CONTENT[:1000], b"rubbish", CONTENT, CONTENT + b"more"])
@pytest.mark.parametrize("knows_ranges", [True, False])
def test_fetch_ends_well_whatever_was_left(server, tmp_path, left, knows_ranges):
    server.pages["a"] = CONTENT
    server.knows_ranges = knows_ranges
    leave(part_of(tmp_path), left)
    fetch("tiny", tmp_path, published=published(server.url("a")))
    assert (tmp_path / "tiny" / "a.gz").read_bytes() == CONTENT
    assert not part_of(tmp_path).exists()


def test_fetch_goes_on_at_the_next_mirror_where_the_first_broke_off(server, tmp_path):
    server.pages["a"] = CONTENT
    server.breaks_off_after = 70_000
    with pytest.raises(DataError, match=f"broke off after 70000 of {len(CONTENT)} bytes"):
        fetch("tiny", tmp_path, published=published(server.url("a")))
    assert part_of(tmp_path).stat().st_size == 70_000
    server.breaks_off_after = None
    server.pages["b"] = CONTENT
    fetch("tiny", tmp_path, published=published(server.url("missing"), server.url("b")))
    assert server.requests[1:] == [("missing", "bytes=70000-"), ("b", "bytes=70000-")]
    assert (tmp_path / "tiny" / "a.gz").read_bytes() == CONTENT


def test_fetch_refuses_a_corrupt_download_and_leaves_the_old_file(server, tmp_path):
    server.pages["a"] = CONTENT[:-1] + b"x"
    leave(tmp_path / "tiny" / "a.gz", b"damaged")
    with pytest.raises(DataError, match="has md5"):
        fetch("tiny", tmp_path, published=published(server.url("a")))
    assert (tmp_path / "tiny" / "a.gz").read_bytes() == b"damaged"
    assert not part_of(tmp_path).exists()


def test_fetch_replaces_a_damaged_file(server, tmp_path):
    server.pages["a"] = CONTENT
    leave(tmp_path / "tiny" / "a.gz", b"damaged")
    fetch("tiny", tmp_path, published=published(server.url("a")))
    assert (tmp_path / "tiny" / "a.gz").read_bytes() == CONTENT


def test_fetch_without_a_network_names_every_mirror(server, tmp_path):
    urls = (server.url("one"), server.url("two"))
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="check the network") as raised:
        fetch("tiny", tmp_path, published=published(*urls))
    assert all(url in str(raised.value) for url in urls)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk without space")
def test_fetch_to_a_full_disk_says_so_and_asks_no_other_mirror(server, tmp_path):
    server.pages["a"] = CONTENT
    part_of(tmp_path).parent.mkdir(parents=True)
    part_of(tmp_path).symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"disk of .* is full"):
        fetch("tiny", tmp_path, published=published(server.url("a"), server.url("a")))
    assert len(server.requests) == 1


def test_fetch_into_a_folder_that_is_a_file_raises(server, tmp_path):
    server.pages["a"] = CONTENT
    (tmp_path / "tiny").write_text("in the way")
    with pytest.raises(DataError, match="must be writeable"):
        fetch("tiny", tmp_path, published=published(server.url("a")))


def test_fetch_of_an_unknown_name_tells_the_nearest():
    with pytest.raises(DataError, match="did you mean cifar10"):
        fetch("cifar_10")


def tarball(members, symlinks=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in symlinks:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return buffer.getvalue()


def archived(server, content):
    server.pages["tar"] = content
    files = (PublishedFile("in/one", md5(b"1")), PublishedFile("in/two", md5(b"2")))
    archive = PublishedFile("all.tar.gz", md5(content), None, (server.url("tar"),))
    return {"tiny": PublishedSet("tiny", "ours", files, archive)}


def test_fetch_unpacks_expected_members_only(server, tmp_path):
    members = [
        ("in/one", b"1"),
        ("in/two", b"2"),
        ("in/other", b"3"),
        ("../../outside", b"4"),
        (f"{tmp_path}/absolute", b"5"),
    ]
    data_dir = tmp_path / "a" / "b"
    fetch("tiny", data_dir, published=archived(server, tarball(members)))
    made = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert made == {"a/b/tiny/in/one", "a/b/tiny/in/two"}


def test_fetch_of_a_complete_unpacked_set_downloads_nothing(server, tmp_path):
    leave(tmp_path / "tiny" / "in" / "one", b"1")
    leave(tmp_path / "tiny" / "in" / "two", b"2")
    fetch("tiny", tmp_path, published=archived(server, b"never asked for"))
    assert server.requests == []


def test_fetch_keeps_an_archive_that_was_there_before(server, tmp_path):
    content = tarball([("in/one", b"1"), ("in/two", b"2")])
    leave(tmp_path / "tiny" / "all.tar.gz", content)
    fetch("tiny", tmp_path, published=archived(server, content))
    assert server.requests == []
    assert (tmp_path / "tiny" / "all.tar.gz").read_bytes() == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tarball([("in/one", b"1")]), "must hold in/two"),
        (tarball([("in/one", b"1"), ("in/two", b"X")]), "must hold in/two with md5"),
        (tarball([("in/one", b"1")], [("in/two", "/etc/hostname")]), "must hold in/two"),
        (b"no tar", "must be a gzipped tar"),
        (tarball([("in/one", b"1"), ("in/two", b"2")])[:-30], "must be a gzipped tar"),
    ],
    ids=["missing", "damaged", "link", "no-tar", "cut"],
)
def test_fetch_of_a_wrong_archive_raises_and_leaves_no_halves(server, tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        fetch("tiny", tmp_path, published=archived(server, content))
    assert not (tmp_path / "tiny" / "in" / "two").exists()
    assert not list(tmp_path.rglob("in/*.part"))
