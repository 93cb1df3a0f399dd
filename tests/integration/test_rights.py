"""Who may do what over the control socket, tried by processes of other users."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from support.namespaces import Namespace
from support.varpd_process import VarpdProcess
from support.waiting import wait_for
from varpd.control.captures import Capture
from varpd.control.client import Client
from varpd.control.messages import ControlError, CreateOverlay

pytestmark = pytest.mark.integration

SOCKET_GROUP, READING_GROUP, CHANGING_GROUP = 61001, 61002, 61003
READER, CHANGER, NOBODY = 62001, 62002, 62003

CONFIG: Final = f"""
[daemon]
datapath = "memory"
memory_addresses = ["192.0.2.1"]

[access]
group = "{SOCKET_GROUP}"
read_users = ["{READER}"]
read_groups = ["{READING_GROUP}"]
change_users = ["{CHANGER}"]
change_groups = ["{CHANGING_GROUP}"]
"""


@dataclass(frozen=True)
class User:
    """Who a process is."""

    number: int
    group: int
    others: tuple[int, ...] = ()

    def does(self, socket: Path) -> str:
        """Read, then change, in a process of this user; return how both went."""
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            said = "nothing"
            try:
                os.setgroups(self.others)
                os.setgid(self.group)
                os.setuid(self.number)
                said = f"{attempt(socket, read)} {attempt(socket, change)}"
            finally:
                os.write(writing, said.encode())
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        os.waitpid(process, 0)
        return said


def attempt(socket: Path, action: Callable[[Client], None]) -> str:
    """Return `yes`, or which error there was."""
    try:
        with Client(str(socket)) as client:
            action(client)
    except ControlError as error:
        # The file's mode or the daemon says no.
        return "kept-out" if error.message.startswith("permission denied") else error.code.value
    return "yes"


def read(client: Client) -> None:
    client.overlays()
    client.diagnosis()
    client.report()
    client.metrics()


def change(client: Client) -> None:
    properties: dict[str, str | None] = {
        "vxlan/listen_ip": "192.0.2.1",
        "direct/dest_ip": "192.0.2.2",
        "direct/dest_port": "4789",
    }
    client.create(CreateOverlay("blue", 7, "direct", properties=properties))
    assert next(client.capture("blue", Capture()))
    client.close()
    client.delete("blue")


@pytest.fixture(scope="module")
def varpd() -> Iterator[VarpdProcess]:
    with Namespace("rights") as namespace, tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        process = VarpdProcess(namespace, Path(directory) / "varpd", CONFIG)
        process.socket = process.directory / "run" / "varpd.sock"
        process.start()
        with Client(str(process.socket)) as client:  # and all that it imports is there
            change(client)
        yield process
        process.stop()


@pytest.mark.parametrize(
    ("user", "read_and_change"),
    [
        pytest.param(User(0, 0), "yes yes", id="root"),
        pytest.param(User(NOBODY, NOBODY), "kept-out kept-out", id="a stranger"),
        pytest.param(User(READER, READER), "kept-out kept-out", id="a reader outside of the group"),
        pytest.param(
            User(CHANGER, CHANGER, (CHANGING_GROUP,)),
            "kept-out kept-out",
            id="a changer outside of the group",
        ),
        pytest.param(
            User(NOBODY, SOCKET_GROUP), "forbidden forbidden", id="a member without a right"
        ),
        pytest.param(
            User(NOBODY, NOBODY, (SOCKET_GROUP,)),
            "forbidden forbidden",
            id="a supplementary member without a right",
        ),
        pytest.param(User(READER, SOCKET_GROUP), "yes forbidden", id="a reader by user"),
        pytest.param(
            User(NOBODY, NOBODY, (SOCKET_GROUP, READING_GROUP)),
            "yes forbidden",
            id="a reader by group",
        ),
        pytest.param(
            User(NOBODY, READING_GROUP, (SOCKET_GROUP,)),
            "yes forbidden",
            id="a reader by the effective group",
        ),
        pytest.param(User(CHANGER, NOBODY, (SOCKET_GROUP,)), "yes yes", id="a changer by user"),
        pytest.param(
            User(NOBODY, NOBODY, (SOCKET_GROUP, CHANGING_GROUP)), "yes yes", id="a changer by group"
        ),
    ],
)
def test_the_kernels_word_about_the_caller_decides(
    varpd: VarpdProcess, user: User, read_and_change: str
) -> None:
    assert user.does(varpd.socket) == read_and_change


def test_a_right_is_given_and_taken_at_a_hangup(varpd: VarpdProcess) -> None:
    user = User(NOBODY, SOCKET_GROUP)
    assert user.does(varpd.socket) == "forbidden forbidden"
    for config, then in (
        (CONFIG.replace(f'["{READER}"]', f'["{NOBODY}"]'), "yes forbidden"),
        (CONFIG.replace(f'["{CHANGER}"]', f'["{NOBODY}"]'), "yes yes"),
        (CONFIG, "forbidden forbidden"),
    ):
        varpd.config.write_text(config)
        varpd.send(signal.SIGHUP)
        wait_for(then, partial(is_allowed, user, varpd.socket, then))


def is_allowed(user: User, socket: Path, what: str) -> bool:
    return user.does(socket) == what


def test_the_socket_and_its_directory_belong_to_the_group_and_to_nobody_else(
    varpd: VarpdProcess,
) -> None:
    for path, mode in ((varpd.socket, 0o660), (varpd.socket.parent, 0o750)):
        found = path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, SOCKET_GROUP, mode)
