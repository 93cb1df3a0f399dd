"""The control socket as a file."""

import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest

from varpd.control.listener import ListenError, listen

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "varpd.sock"


def abandon(path: Path) -> None:
    """Leave the socket file of a daemon that was killed."""
    path.parent.mkdir(mode=0o750, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_directory_and_socket_are_made_with_their_modes(path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with listen(path):
            assert mode(path.parent) == 0o750
            assert mode(path) == 0o660
        assert os.umask(mask) == mask
    finally:
        os.umask(before)


def test_a_directory_that_is_there_is_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o700)
    with listen(path):
        assert mode(path.parent) == 0o700


def test_it_listens(path: Path) -> None:
    with listen(path) as listener, socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))
        accepted, _ = listener.socket.accept()
        accepted.close()


def test_closing_removes_the_file(path: Path) -> None:
    listen(path).close()
    assert not path.exists()


def test_closing_leaves_a_file_that_is_somebody_elses(path: Path) -> None:
    with listen(path):
        path.unlink()
        abandon(path)
    assert path.exists()


def test_the_socket_of_a_dead_daemon_is_replaced(path: Path) -> None:
    abandon(path)
    with listen(path), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))


def test_the_socket_of_a_live_daemon_is_an_error_and_stays(path: Path) -> None:
    with listen(path), socket.socket(socket.AF_UNIX) as caller:
        with pytest.raises(ListenError, match="another daemon listens there"):
            listen(path)
        caller.connect(str(path))


def test_a_live_daemon_that_accepts_nothing_is_alive(path: Path) -> None:
    with listen(path) as busy, contextlib.ExitStack() as callers:
        busy.socket.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                caller = callers.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)
                caller.connect(str(path))
        with pytest.raises(ListenError, match="another daemon listens there"):
            listen(path)


def test_a_file_that_is_no_socket_is_an_error_and_stays(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(ListenError, match="is not a socket"):
        listen(path)
    assert path.read_text() == "precious"


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere.sock")
    with pytest.raises(ListenError, match="is not a socket"):
        listen(path)


def test_a_directory_that_everybody_may_write_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(ListenError, match="everybody may write"):
        listen(path)


def test_a_directory_where_nobody_replaces_anothers_file_will_do(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o1777)
    listen(path).close()


def test_a_path_too_long_for_a_socket_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="at most 107 bytes"):
        listen(tmp_path / ("x" * 108))


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ListenError, match="directory"):
        listen(tmp_path / "file" / "varpd.sock")


@needs_root
def test_directory_and_socket_belong_to_the_group(path: Path) -> None:
    with listen(path, group=4711):
        assert path.parent.stat().st_gid == 4711
        assert path.stat().st_gid == 4711
    assert os.getegid() != 4711
