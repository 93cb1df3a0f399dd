"""What comes with the program: unit, users, manual pages, completions, and their installation."""

import dataclasses
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from support.lacking import lacking
from varpd.cli.main import VERBS, overlayadm
from varpd.daemon import config
from varpd.daemon.families import FAMILIES
from varpd.datapath.linux import names

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGING: Final = ROOT / "packaging"
MAN: Final = sorted((PACKAGING / "man").iterdir())
UNIT: Final = PACKAGING / "systemd" / "varpd.service"

MOST_EXPOSURE: Final = 2.0
"""Of the unit as systemd-analyze counts it; 10 is a unit that may everything."""

OPTION: Final = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def run(*command: str, **environment: str) -> str:
    """Run a command and return what it said on both outputs."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip where a tool is missing; fail where everything has to be there."""
    absent = shutil.which(tool) is None and not os.environ.get("CI")
    return pytest.mark.skipif(absent, reason=f"there is no {tool}")


# --- the unit


@needs("systemd-analyze")
def test_the_unit_leaves_a_fault_little_to_do() -> None:
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT))
    exposure = re.search(r"Overall exposure level for varpd.service: ([0-9.]+)", said)
    assert exposure
    assert float(exposure[1]) <= MOST_EXPOSURE


@needs("systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "varpd.service"
    unit.write_text(
        UNIT.read_text().replace("/usr/bin/varpd", "/bin/true").replace("Documentation=", "#")
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    newer = re.compile(r"notify-reload|RestartSteps|RestartMaxDelaySec")  # than what may be here
    said = [line for line in done.stderr.splitlines() if "varpd.service" in line]
    assert [line for line in said if not newer.search(line)] == []


def test_the_unit_and_the_configuration_agree_about_paths() -> None:
    unit = UNIT.read_text()
    usual = config.Daemon()
    assert usual.socket.parent == Path("/run/varpd")
    assert usual.state_dir == Path("/var/lib/varpd")
    assert config.DEFAULT_PATH.parent == Path("/etc/varpd")
    for key in ("Runtime", "State", "Configuration"):
        assert f"\n{key}Directory=varpd\n" in unit


@needs("systemd-sysusers")
def test_user_and_group_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file = PACKAGING / "sysusers.d" / "varpd.conf"
    run("systemd-sysusers", f"--root={tmp_path}", "--", str(file))
    assert "\nvarpd:" in "\n" + (tmp_path / "etc" / "passwd").read_text()
    assert "\nvarpd:" in "\n" + (tmp_path / "etc" / "group").read_text()


@needs("systemd-tmpfiles")
def test_directories_are_made_with_their_modes(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        lacking("only root may give directories away")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("varpd:x:61001:61001::/:/bin/false\n")
    (tmp_path / "etc" / "group").write_text("varpd:x:61001:\n")
    file = tmp_path / "etc" / "tmpfiles.d" / "varpd.conf"
    file.parent.mkdir()
    shutil.copy(PACKAGING / "tmpfiles.d" / "varpd.conf", file)
    run("systemd-tmpfiles", f"--root={tmp_path}", "--create")
    for path, mode in (("run/varpd", 0o750), ("var/lib/varpd", 0o700)):
        found = (tmp_path / path).stat()
        assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (mode, 61001, 61001)


def test_other_programs_know_our_links_by_their_group_and_name() -> None:
    rules = (PACKAGING / "udev" / "85-varpd.rules").read_text()
    network = (PACKAGING / "networkd" / "10-varpd.network").read_text()
    manager = (PACKAGING / "networkmanager" / "varpd.conf").read_text()

    assert f'ATTR{{netdev_group}}=="{names.GROUP}"' in rules
    assert 'ENV{NM_UNMANAGED}="1"' in rules
    (mark,) = re.findall(r"^Property=(\w+)=1$", network, re.MULTILINE)
    assert f'ENV{{{mark}}}="1"' in rules
    assert "\nUnmanaged=yes\n" in network
    assert f"unmanaged-devices+=interface-name:{names.device_name('*')}\n" in manager


# --- manual pages


def page(name: str) -> str:
    """Return the text of a manual page, in one line."""
    text = run("mandoc", "-Tascii", "-O", "width=500", str(PACKAGING / "man" / name))
    return " ".join(re.sub(r".\x08", "", text).split())


@needs("mandoc")
@pytest.mark.parametrize("path", MAN, ids=lambda path: path.name)
def test_a_manual_page_has_no_faults(path: Path) -> None:
    assert run("mandoc", "-T", "lint", "-W", "warning", str(path)) == ""


@needs("groff")
@pytest.mark.parametrize("path", MAN, ids=lambda path: path.name)
def test_a_manual_page_can_be_set(path: Path) -> None:
    assert run("groff", "-mandoc", "-ww", "-z", "-Tutf8", str(path)) == ""


def options_of_overlayadm() -> Iterator[tuple[str, set[str]]]:
    """Give each verb with its options, and the options of the command itself."""
    context = click.Context(overlayadm)
    commands: dict[str, click.Command] = {"": overlayadm}
    for verb in VERBS:
        command = overlayadm.get_command(context, verb)
        assert command is not None
        commands[verb] = command
    for name, command in commands.items():
        found = {
            option
            for item in command.params
            if isinstance(item, click.Option)
            for option in (*item.opts, *item.secondary_opts)
        }
        yield name, found


def test_the_page_of_overlayadm_has_each_option_of_each_verb_and_no_other() -> None:
    text = (PACKAGING / "man" / "overlayadm.8").read_text()
    first, *rest = re.split(r"^\.Ss ", text.split(".Sh ENVIRONMENT")[0], flags=re.MULTILINE)
    sections = {"": first} | {section.split()[0]: section for section in rest}

    assert set(sections) == {"", *VERBS}
    for verb, options in options_of_overlayadm():
        items = re.findall(r"^\.It (Fl .*)$", sections[verb], re.MULTILINE)
        written = {
            f"{'--' if long else '-'}{name}"
            for item in items
            for long, name in re.findall(r"\bFl (Fl )?([\w-]+)", item)
        }
        assert written - {"-h", "--help"} == options - {"-h", "--help"}, verb


@needs("mandoc")
def test_the_page_of_varpd_has_each_option_and_no_other() -> None:
    shown = run(sys.executable, "-m", "varpd.daemon", "--help")
    options = shown.partition("options:")[2]
    written = page("varpd.8").partition(" OPTIONS ")[2].partition(" SIGNALS ")[0]
    assert set(OPTION.findall(written)) == set(OPTION.findall(options))


def test_the_page_of_the_configuration_has_each_key_and_no_other() -> None:
    text = (PACKAGING / "man" / "varpd.toml.5").read_text()
    written = re.findall(r"^\.It Cm (\S+)$", text, re.MULTILINE)
    keys = [
        field.name
        for section in (config.Daemon, config.Access, config.TotalLimits)
        for field in dataclasses.fields(section)
    ]
    assert sorted(written) == sorted([*keys, *config.default_properties()])


# --- what watches it

METRIC: Final = re.compile(r"\b(?:varpd|process|node)_[a-z_]+\b")
PROCESS: Final = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
NODE_EXPORTER: Final = {"node_textfile_mtime_seconds"}


def metrics() -> dict[str, set[str]]:
    """Return the names that a query may use, each with its labels."""
    known = {name: {"file"} for name in PROCESS | NODE_EXPORTER}
    for family in FAMILIES:
        labels = set(family.labels)
        if family.kind == "histogram":
            known[f"{family.name}_bucket"] = labels | {"le"}
        else:
            known[family.name] = labels
    return known


def check_query(query: str) -> None:
    """Check that a query uses metrics that there are, and only labels that they have."""
    known = metrics()
    used = set(METRIC.findall(query))
    assert used - set(known) == set(), query
    labels = {"instance", "job"}.union(*(known[name] for name in used))
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", query)
    selected = re.findall(r"([a-z]+)(?:=~|!~|!=|=)\"", query)
    written = {label.strip() for group in grouped for label in group.split(",")} | set(selected)
    assert written - labels == set(), query


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    dashboard = json.loads((PACKAGING / "grafana" / "varpd.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert dashboard["templating"]["list"][0]["name"] == "datasource"
    shown: set[str] = set()
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["title"]
        assert panel["description"]
        for target in panel["targets"]:
            check_query(target["expr"])
            shown |= set(METRIC.findall(target["expr"]))
    families = {family.name for family in FAMILIES} - {"varpd_overlay_info"}
    missing = {name for name in families if not {name, f"{name}_bucket"} & shown}
    assert missing == {"varpd_overlay_degraded"}  # by cause it is in varpd_degraded_overlays


def alerts() -> dict[str, str]:
    """Return the alerts with their expressions."""
    text = (PACKAGING / "prometheus" / "varpd.rules.yml").read_text()
    found = {}
    for block in text.split("- alert: ")[1:]:
        name, _, rest = block.partition("\n")
        lines = rest.partition("expr: ")[2].splitlines()
        if lines[0] == "|":
            lines = list(itertools.takewhile(lambda line: line.startswith(" " * 10), lines[1:]))
        else:
            lines = lines[:1]
        found[name] = " ".join(line.strip() for line in lines)
    return found


def test_the_alerts_are_about_metrics_that_there_are() -> None:
    for expression in alerts().values():
        assert METRIC.search(expression)
        check_query(expression)


def test_the_alerts_that_are_documented_are_there() -> None:
    told = set(re.findall(r"`(Varpd[A-Za-z]+)`", (ROOT / "docs" / "metrics.md").read_text()))
    assert told <= set(alerts())


# --- completions


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_is_what_the_command_gives_out(shell: str) -> None:
    command = str(Path(sys.executable).parent / "overlayadm")
    given = run(command, _OVERLAYADM_COMPLETE=f"{shell}_source")
    kept = PACKAGING / "completions" / f"overlayadm.{shell}"
    assert kept.read_text() == given.rstrip("\n") + "\n"


@pytest.mark.parametrize("shell", [BashComplete, ZshComplete, FishComplete])
def test_each_shell_completes_each_verb_and_each_of_its_options(
    shell: type[ShellComplete],
) -> None:
    asked = shell(overlayadm, {}, "overlayadm", "_OVERLAYADM_COMPLETE")

    def offered(*words: str, incomplete: str = "") -> set[str]:
        return {item.value for item in asked.get_completions([*words], incomplete)}

    assert offered() == set(VERBS)
    for verb, options in options_of_overlayadm():
        words = (verb,) if verb else ()
        assert offered(*words, incomplete="-") >= options, verb


def completed(line: str) -> list[str]:
    """Return what bash offers at the end of a line."""
    words = line.split(" ")
    script = (
        f"source {PACKAGING}/completions/overlayadm.bash;"
        f" COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1};"
        ' _overlayadm_completion overlayadm; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return run("bash", "-c", script, PATH=path).split()


def test_bash_completes_verbs_and_options() -> None:
    assert completed("overlayadm de") == ["delete"]
    assert "--vnetid" in completed("overlayadm create --v")


@pytest.mark.parametrize(
    "shell", [pytest.param(shell, marks=needs(shell)) for shell in ("zsh", "fish")]
)
def test_the_other_shells_take_their_completion(shell: str) -> None:
    run(shell, "-n", str(PACKAGING / "completions" / f"overlayadm.{shell}"))


# --- installation

PIN: Final = re.compile(r"^([\w.-]+)==([^ ]+)", re.MULTILINE)


def test_the_program_is_installed_with_the_packages_it_was_tested_with() -> None:
    tested = set(PIN.findall((ROOT / "requirements.lock").read_text()))
    shipped = set(PIN.findall((PACKAGING / "requirements.lock").read_text()))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert shipped - tested == set()
    needed = {re.split("[>=<]", item)[0] for item in project["dependencies"]}
    assert needed - {name for name, _ in shipped} == set()


def installed(directory: Path) -> list[str]:
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()
    )


@pytest.mark.parametrize(
    ("prefix", "manager"),
    [("/usr", "usr/lib"), ("/usr/local", "etc")],
)
def test_every_file_is_put_where_it_is_looked_for(
    tmp_path: Path, prefix: str, manager: str
) -> None:
    run(str(ROOT / "scripts" / "install"), "--files", DESTDIR=str(tmp_path), PREFIX=prefix)

    base = prefix.strip("/")
    wanted = {
        "etc/varpd/varpd.toml",
        f"{manager}/NetworkManager/conf.d/varpd.conf",
        f"{base}/lib/systemd/system/varpd.service",
        f"{base}/lib/systemd/network/10-varpd.network",
        f"{base}/lib/sysusers.d/varpd.conf",
        f"{base}/lib/tmpfiles.d/varpd.conf",
        f"{base}/lib/udev/rules.d/85-varpd.rules",
        f"{base}/share/bash-completion/completions/overlayadm",
        f"{base}/share/zsh/site-functions/_overlayadm",
        f"{base}/share/fish/vendor_completions.d/overlayadm.fish",
        f"{base}/share/varpd/grafana/varpd.json",
        f"{base}/share/varpd/prometheus/varpd.rules.yml",
        *(f"{base}/share/man/man{path.suffix[1:]}/{path.name}" for path in MAN),
    }
    found = set(installed(tmp_path))
    assert found >= wanted
    assert {path for path in found - wanted if not path.startswith(f"{base}/share/doc/")} == set()
    unit = (tmp_path / base / "lib/systemd/system/varpd.service").read_text()
    assert f"\nExecStart={prefix}/bin/varpd\n" in unit


def test_a_configuration_that_is_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "etc" / "varpd" / "varpd.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[daemon]\n")
    run(str(ROOT / "scripts" / "install"), "--files", DESTDIR=str(tmp_path))
    assert file.read_text() == "[daemon]\n"


@pytest.mark.long
def test_the_installed_program_runs(tmp_path: Path) -> None:
    subprocess.run(
        ["make", "--directory", str(ROOT), "install", f"DESTDIR={tmp_path}"],
        check=True,
        timeout=110,
    )
    home = tmp_path / "usr/local/lib/varpd/venv"
    for name in ("varpd", "overlayadm"):
        command = tmp_path / "usr/local/bin" / name
        assert command.resolve() == (home / "bin" / name).resolve()
        assert command.read_text().splitlines()[0] == "#!/usr/local/lib/varpd/venv/bin/python"
        said = run(str(home / "bin" / "python"), str(command), "--version")
        assert said.startswith(name)
