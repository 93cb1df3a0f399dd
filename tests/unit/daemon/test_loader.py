"""Finding plugins: the order, and every refusal with its origin."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from varpd.daemon.loader import RefusedPlugin, Registry, load
from varpd.provider.registration import Refusal

GOOD = """
from varpd.provider import DROP, DynamicPlugin, PointPlugin

class {cls}(DynamicPlugin):
    api_version = 1
    name = "{name}"
    def lookup(self, query):
        return DROP
"""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = set(sys.modules)
    path = list(sys.path)
    with capture_logs():
        yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.startswith(("varpd_plugin_", "stranger")):
            del sys.modules[name]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "plugins"
    made.mkdir(mode=0o755)
    return made


def write(directory: Path, file: str, text: str) -> Path:
    path = directory / file
    path.write_text(text)
    path.chmod(0o644)
    return path


def from_directory(*directories: Path) -> Registry:
    """Load, and leave out what distributions bring."""
    registry = load(directories)
    places = tuple(str(directory) for directory in directories)
    registry.plugins = {
        name: item for name, item in registry.plugins.items() if item.origin.startswith(places)
    }
    registry.refused = [item for item in registry.refused if item.origin.startswith(places)]
    return registry


def only(registry: Registry) -> RefusedPlugin:
    assert len(registry.refused) == 1
    return registry.refused[0]


def test_files_come_by_name_and_classes_by_line(directory: Path) -> None:
    write(
        directory, "b.py", GOOD.format(cls="Zed", name="zed") + GOOD.format(cls="Abe", name="abe")
    )
    write(directory, "a.py", GOOD.format(cls="Last", name="last"))
    write(directory, "_c.py", GOOD.format(cls="Hidden", name="hidden"))
    write(directory, "d.txt", GOOD.format(cls="Text", name="text"))
    registry = from_directory(directory)
    assert list(registry.plugins) == ["last", "zed", "abe"]
    assert registry.plugins["last"].origin == f"{directory}/a.py:4"
    assert registry.refused == []


def test_classes_that_are_private_or_of_other_modules_are_no_plugins(directory: Path) -> None:
    write(
        directory,
        "a.py",
        GOOD.format(cls="_Base", name="base") + "\nclass Own(_Base):\n"
        "    api_version = 1\n    name = 'own'\n",
    )
    assert list(from_directory(directory).plugins) == ["own"]


@pytest.mark.parametrize(
    ("text", "reason", "says"),
    [
        ("import nowhere_at_all", Refusal.IMPORT_ERROR, "nowhere_at_all"),
        ("raise SystemExit(3)", Refusal.IMPORT_ERROR, "SystemExit"),
        ("class Wild(BaseException): pass\nraise Wild('x')", Refusal.IMPORT_ERROR, "Wild"),
        ("def broken(:", Refusal.IMPORT_ERROR, "SyntaxError"),
        ("class Neither:\n    api_version = 1", Refusal.WRONG_MODE, "neither"),
        (GOOD.format(cls="P", name="p").replace("api_version = 1", ""), Refusal.BAD_VERSION, "1"),
        (GOOD.format(cls="P", name="p").replace("= 1", "= 99"), Refusal.BAD_VERSION, "99"),
        (GOOD.format(cls="P", name="Bad Name"), Refusal.BAD_NAME, "Bad Name"),
        (GOOD.format(cls="P", name="vxlan"), Refusal.BAD_NAME, "vxlan"),
        (GOOD.format(cls="P", name="nvgre"), Refusal.BAD_NAME, "nvgre"),
        (GOOD.format(cls="P", name="geneve"), Refusal.BAD_NAME, "geneve"),
        (GOOD.format(cls="P", name="varpd"), Refusal.BAD_NAME, "varpd"),
        (
            GOOD.format(cls="P", name="p").replace("lookup", "look"),
            Refusal.MISSING_OPERATION,
            "lookup",
        ),
        (
            GOOD.format(cls="P", name="p") + "    def default(self): pass",
            Refusal.WRONG_MODE,
            "default",
        ),
        (GOOD.format(cls="P", name="p") + "    blocking = 7", Refusal.BAD_PROPERTY, "blocking"),
    ],
)
def test_each_refusal_has_its_code_and_stops_nobody_else(
    directory: Path, text: str, reason: Refusal, says: str
) -> None:
    write(directory, "a.py", text)
    write(directory, "b.py", GOOD.format(cls="Good", name="good"))
    registry = from_directory(directory)
    refused = only(registry)
    assert refused.reason is reason
    assert says in refused.message
    assert refused.origin.startswith(f"{directory}/a.py")
    assert list(registry.plugins) == ["good"]


def test_the_second_of_a_name_is_refused_and_both_origins_are_named(directory: Path) -> None:
    write(directory, "a.py", GOOD.format(cls="One", name="same"))
    write(directory, "b.py", GOOD.format(cls="Two", name="same"))
    registry = from_directory(directory)
    refused = only(registry)
    assert refused.reason is Refusal.DUPLICATE_NAME
    assert f"{directory}/a.py:4" in refused.message
    assert f"{directory}/b.py:4" in refused.message
    assert registry.plugins["same"].plugin.__name__ == "One"


def test_directories_come_in_the_order_given(tmp_path: Path) -> None:
    for name in ("z", "a"):
        (tmp_path / name).mkdir(mode=0o755)
        write(tmp_path / name, "p.py", GOOD.format(cls="P", name=f"plugin-{name}"))
    registry = from_directory(tmp_path / "z", tmp_path / "a")
    assert list(registry.plugins) == ["plugin-z", "plugin-a"]


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_may_write_is_refused(directory: Path, mode: int) -> None:
    write(directory, "a.py", GOOD.format(cls="P", name="p")).chmod(mode)
    registry = from_directory(directory)
    assert only(registry).reason is Refusal.IMPORT_ERROR
    assert "written by others" in only(registry).message
    assert registry.plugins == {}


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_a_directory_that_others_may_write_is_refused(directory: Path, mode: int) -> None:
    write(directory, "a.py", GOOD.format(cls="P", name="p"))
    directory.chmod(mode)
    registry = from_directory(directory)
    assert only(registry).origin == str(directory)
    assert registry.plugins == {}


def test_a_link_is_as_good_as_what_it_leads_to(directory: Path, tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    path = write(loose, "p.py", GOOD.format(cls="P", name="p"))
    (directory / "a.py").symlink_to(path)
    assert list(from_directory(directory).plugins) == ["p"]
    loose.chmod(0o777)
    assert "written by others" in only(from_directory(directory)).message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(directory: Path) -> None:
    path = write(directory, "a.py", GOOD.format(cls="P", name="p"))
    os.chown(path, 12345, 0)
    assert "belongs to user 12345" in only(from_directory(directory)).message


def test_a_given_directory_that_is_missing_is_reported(directory: Path) -> None:
    missing = directory / "missing"
    refused = only(from_directory(missing))
    assert refused.origin == str(missing)
    assert refused.reason is Refusal.IMPORT_ERROR


def install(place: Path, name: str, entry_points: str, module: str, text: str) -> None:
    """Lay a distribution into a directory of the path."""
    info = place / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[varpd.plugins]\n{entry_points}\n")
    (place / f"{module}.py").write_text(text)


def test_distributions_come_by_name_behind_our_own(tmp_path: Path, directory: Path) -> None:
    install(
        tmp_path,
        "zoo",
        "zebra = stranger_zoo:Zebra",
        "stranger_zoo",
        GOOD.format(cls="Zebra", name="zebra"),
    )
    install(
        tmp_path,
        "Ark",
        "ant = stranger_ark:Ant\ngone = stranger_ark:Gone",
        "stranger_ark",
        GOOD.format(cls="Ant", name="ant"),
    )
    install(tmp_path, "bad", "exit = stranger_bad:Exit", "stranger_bad", "raise SystemExit(1)")
    sys.path.insert(0, str(tmp_path))
    write(directory, "a.py", GOOD.format(cls="P", name="ant"))
    registry = load([directory])
    names = [name for name in registry.plugins if name in {"ant", "zebra"}]
    assert names == ["ant", "zebra"]
    assert registry.plugins["ant"].origin == "ark 1.0 (stranger_ark:Ant)"
    refused = {item.origin: item.reason for item in registry.refused}
    assert refused["ark 1.0 (stranger_ark:Gone)"] is Refusal.IMPORT_ERROR
    assert refused["bad 1.0 (stranger_bad:Exit)"] is Refusal.IMPORT_ERROR
    assert refused[f"{directory}/a.py:4"] is Refusal.DUPLICATE_NAME
    own = [name for name, item in registry.plugins.items() if item.origin.startswith("varpd ")]
    assert list(registry.plugins)[: len(own)] == own


def test_an_entry_point_that_is_no_class_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "odd", "odd = stranger_odd:ODD", "stranger_odd", "ODD = 5")
    sys.path.insert(0, str(tmp_path))
    refused = {item.origin: item.reason for item in load([]).refused}
    assert refused["odd 1.0 (stranger_odd:ODD)"] is Refusal.WRONG_MODE


def test_each_refusal_is_logged(directory: Path) -> None:
    write(directory, "a.py", "import nowhere_at_all")
    with capture_logs() as logs:
        load([directory])
    line = next(line for line in logs if line.get("origin") == f"{directory}/a.py")
    assert line["log_level"] == "error"
    assert line["reason"] == "import-error"
