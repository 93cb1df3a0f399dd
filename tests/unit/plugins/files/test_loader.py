"""Reading mapping files of any size."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from varpd.plugins.files.errors import FilesError
from varpd.plugins.files.loader import PROGRESS_STEP, Loaded, load, signature_of
from varpd.plugins.files.pace import Halted, Pace
from varpd.provider import DestinationKind

VXLAN = DestinationKind.IP | DestinationKind.PORT
MAC = "02:00:5e:10:00:01"
OTHER = "02:00:5e:10:00:02"
HERE = {"ip": "198.51.100.11", "port": 4789}

LAG_GOAL: Final = 0.05
"""Seconds that a load may keep the event loop from its turn on a machine that is not busy."""

GENEROSITY: Final = 10
"""By how much a busy machine may miss a goal."""


def no_pause() -> None:
    pass


def no_progress(mappings: int, percent: int) -> None:
    pass


def load_plainly(path: Path) -> Loaded:
    return load(str(path), VXLAN, None, no_pause, no_progress)


def write_mappings(path: Path, mappings: int) -> None:
    """Write a file with all that most entries have."""
    with path.open("w") as file:
        file.write("{\n")
        for at in range(mappings):
            mac = (0x02_00_00_00_00_00 + at).to_bytes(6, "big").hex(":")
            file.write(
                f'  "{mac}": {{"ip": "198.51.100.{at % 250 + 1}", "port": 4789, '
                f'"arp": "10.{at >> 16}.{at >> 8 & 255}.{at & 255}", '
                f'"ndp": "fd00:77::{at >> 16:x}:{at & 65535:x}"}}'
                f"{',' if at < mappings - 1 else ''}\n"
            )
        file.write("}\n")


def error(path: Path) -> FilesError:
    with pytest.raises(FilesError) as caught:
        load_plainly(path)
    return caught.value


def test_a_file_is_read_with_its_signature(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"
    path.write_text(json.dumps({MAC: HERE, OTHER: HERE | {"vlan": 1}}))

    loaded = load_plainly(path)

    assert len(loaded.content) == 2
    assert loaded.unknown_keys == {"vlan"}
    assert loaded.signature == signature_of(path.stat())


def test_an_empty_object_is_a_file_without_mappings(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"
    path.write_text("{}\n")

    assert len(load_plainly(path).content) == 0


def test_an_error_names_file_line_mac_key_and_value(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"
    path.write_text(
        f'{{\n  "{MAC}": {{"ip": "198.51.100.11", "port": 4789}},\n'
        f'  "{OTHER}": {{\n    "ip": "198.51.100.12", "port": 70000}}\n}}'
    )

    assert str(error(path)) == (
        f"{path}: line 3: '{OTHER}': port: 70000 is not a whole number from 1 to 65535"
    )


def test_an_error_names_line_and_column_where_json_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"
    path.write_text(f'{{\n  "{MAC}": {{"ip": "198.51.100.11" "port": 4789}}}}')

    assert str(error(path)) == f"{path}: line 2, column 47: Expecting ',' delimiter"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"

    assert str(error(path)) == f"{path}: No such file or directory"


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert error(tmp_path / "pipe").what == "not a regular file"
    assert error(tmp_path).what in ("not a regular file", "Is a directory")
    assert error(Path("/dev/zero")).what == "not a regular file"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text('{}[]",: "02:00ipport', max_size=60).map(str.encode))
def test_any_bytes_are_content_or_a_files_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.json"
    path.write_bytes(data)
    refusal = ""
    try:
        loaded = load_plainly(path)
    except FilesError as exc:
        refusal = str(exc)
    else:
        assert len(loaded.content) == len(json.loads(data))
    assert not refusal or refusal.startswith(f"{path}: ")


def test_progress_is_told_step_by_step(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"
    with path.open("w") as file:
        macs = ((2 << 40 | at).to_bytes(6, "big").hex(":") for at in range(PROGRESS_STEP + 1))
        entries = (f'"{mac}":{{"ip":"192.0.2.1","port":1}}' for mac in macs)
        file.write("{" + ",\n".join(entries) + "}")
    told: list[tuple[int, int]] = []

    load(str(path), VXLAN, None, no_pause, lambda *progress: told.append(progress))

    assert [mappings for mappings, _ in told] == [PROGRESS_STEP]
    assert 50 < told[0][1] <= 100


def test_a_load_that_nobody_waits_for_ends_early(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"
    write_mappings(path, 20_000)
    pace = Pace()
    pace.halt()

    with pytest.raises(Halted, match="the instance stops"):
        load(str(path), VXLAN, None, pace, no_progress)


async def longest_lag(path: Path, mappings: int) -> float:
    """Load a file beside a running event loop and return its longest wait for a turn, seconds."""
    longest = 0.0
    task = asyncio.to_thread(load, str(path), VXLAN, None, Pace(), no_progress)
    async with asyncio.TaskGroup() as group:
        loading = group.create_task(task)
        while not loading.done():
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - before)
            await asyncio.sleep(0.001)
    assert len(loading.result().content) == mappings
    return longest


async def test_the_event_loop_has_its_turns_while_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"
    await asyncio.to_thread(write_mappings, path, 20_000)

    assert await longest_lag(path, 20_000) < GENEROSITY * LAG_GOAL


@pytest.mark.long
async def test_the_event_loop_has_its_turns_while_a_million_mappings_are_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "blue.json"
    await asyncio.to_thread(write_mappings, path, 1_000_000)

    assert await longest_lag(path, 1_000_000) < GENEROSITY * LAG_GOAL


@pytest.mark.long
def test_a_million_mappings_are_read_and_replaced_within_a_gibibyte(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"
    write_mappings(path, 1_000_000)
    # Twice, since at a reload the old mappings and the new are there together.
    script = f"""
import resource
from varpd.plugins.files.difference import difference
from varpd.plugins.files.loader import load
from varpd.plugins.files.pace import Pace
from varpd.provider import DestinationKind
kinds = DestinationKind.IP | DestinationKind.PORT
old, new = (load({str(path)!r}, kinds, 4, Pace(), lambda *_: None).content for _ in range(2))
assert len(old) == 1_000_000
assert not difference(old, new, Pace()).macs
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    outcome = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )

    assert int(outcome.stdout) < 1 << 20  # KiB
