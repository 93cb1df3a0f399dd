"""The shape of the tree: tests mirror the source, files stay small, the plugin API is light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "src" / "varpd"
UNIT: Final = ROOT / "tests" / "unit"

MAX_FILE_LINES: Final = 400
MAX_FUNCTION_LINES: Final = 60
MAX_CLASS_METHODS: Final = 20

# Re-exports and the two-line entry to `python -m` hold nothing to test.
UNMIRRORED: Final = {"__init__.py", "__main__.py"}

SOURCE_FILES: Final = sorted(SOURCE.rglob("*.py"))
TEST_FILES: Final = sorted((ROOT / "tests").rglob("*.py"))
PACKAGE_FILES: Final = [path for path in SOURCE_FILES if path.name == "__init__.py"]

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def too_long_functions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.name} has {lines} lines"


def too_large_classes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            methods = sum(isinstance(member, Function) for member in node.body)
            if methods > MAX_CLASS_METHODS:
                yield f"{node.name} has {methods} methods"


def is_bare(statement: ast.stmt) -> bool:
    """Whether a statement is one that an `__init__.py` may hold besides its docstring."""
    match statement:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case _:
            return False


def test_every_module_has_its_test_file() -> None:
    missing = [
        f"{name_of(path)} needs {name_of(test)}"
        for path in SOURCE_FILES
        if path.name not in UNMIRRORED
        and not (test := UNIT / path.relative_to(SOURCE).with_name(f"test_{path.name}")).exists()
    ]
    assert missing == []


def test_every_unit_test_file_has_its_module() -> None:
    stray = [
        name_of(path)
        for path in sorted(UNIT.rglob("*.py"))
        if path.name != "conftest.py"
        and not (
            path.name.startswith("test_")
            and (
                SOURCE / path.relative_to(UNIT).with_name(path.name.removeprefix("test_"))
            ).exists()
        )
    ]
    assert stray == []


@pytest.mark.parametrize("path", SOURCE_FILES + TEST_FILES, ids=name_of)
def test_a_module_starts_with_a_docstring(path: Path) -> None:
    assert ast.get_docstring(parse(path))


@pytest.mark.parametrize("path", SOURCE_FILES, ids=name_of)
def test_files_functions_and_classes_stay_small(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    tree = parse(path)

    assert lines <= MAX_FILE_LINES
    assert list(too_long_functions(tree)) == []
    assert list(too_large_classes(tree)) == []


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=name_of)
def test_a_package_file_holds_a_docstring_and_re_exports_only(path: Path) -> None:
    after_docstring = parse(path).body[1:]
    assert [ast.unparse(node) for node in after_docstring if not is_bare(node)] == []


def test_the_top_package_imports_nothing() -> None:
    assert len(parse(SOURCE / "__init__.py").body) == 1


def test_importing_the_plugin_api_loads_nothing_above_it_and_no_io() -> None:
    script = "import sys; import varpd.provider; print(*sorted(sys.modules), sep='\\n')"
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.splitlines()

    own = {".".join(name.split(".")[:2]) for name in loaded if name.split(".")[0] == "varpd"}
    assert "varpd.provider" in own
    assert own <= {"varpd", "varpd.net", "varpd.provider"}
    assert {"asyncio", "socket"}.isdisjoint(loaded)
