"""Nothing that is read can bring code along: no pickle in any of its forms, no evaluated text, no shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = (REPOSITORY / "covid_core", REPOSITORY / "pages", REPOSITORY / "benchmarks", REPOSITORY / ".ci")
SOURCES = sorted([*REPOSITORY.glob("*.py"), *(path for folder in FOLDERS for path in folder.rglob("*.py"))])
MODULES = {"cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "pickle", "shelve", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__", "read_pickle", "read_hdf", "system", "popen"}
LOADERS = {"load": ("allow_pickle", False), "load_model": ("safe_mode", True), "model_from_json": ("safe_mode", True)}
METHODS = {"eval", "compile"}  # of a network, or of a regular expression: harmless as methods
NAMESAKES = {"json", "nib", "nibabel", "tomllib"}  # their load reads data alone


def faults(source: str) -> Iterator[str]:
    """What a source does that could run code out of a file, by line."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            if name.partition(".")[0] in MODULES:
                yield f"{node.lineno}: imports {name}"
        if isinstance(node, ast.Call):
            yield from _faults_of_call(node)


def _faults_of_call(call: ast.Call) -> Iterator[str]:
    method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if method else getattr(call.func, "id", "")
    keywords = {one.arg: getattr(one.value, "value", None) for one in call.keywords}
    if name in CALLS and not (method and name in METHODS):
        yield f"{call.lineno}: calls {name}"
    if keywords.get("shell"):
        yield f"{call.lineno}: calls {name} with a shell"
    if keywords.get("allow_pickle") or keywords.get("weights_only") is False or keywords.get("safe_mode") is False:
        yield f"{call.lineno}: calls {name} and allows code"
    owner = getattr(call.func.value, "id", "") if method else ""
    if name in LOADERS and method and owner not in NAMESAKES and call.args:
        keyword, safe = LOADERS[name]
        if keywords.get(keyword) is not safe and keywords.get("weights_only") is not True:
            yield f"{call.lineno}: calls {owner}.{name} without {keyword}={safe}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_source_reads_no_file_that_can_bring_code_along(path):
    assert list(faults(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import pandas as pd\npd.read_pickle('a')",
        "np.load('a')",
        "np.load('a', allow_pickle=True)",
        "torch.load('a')",
        "torch.load('a', weights_only=False)",
        "keras.models.load_model('a.keras')",
        "keras.models.load_model('a.keras', safe_mode=False)",
        "eval('1')",
        "exec(text)",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
    ],
)
def test_what_would_is_noticed(source):
    assert list(faults(source))


@pytest.mark.parametrize(
    "source",
    [
        "np.load('a', allow_pickle=False)",
        "torch.load('a', weights_only=True)",
        "keras.models.load_model('a.keras', safe_mode=True)",
        "json.load(file)",
        "re.compile('a')",
        "network.eval()",
    ],
)
def test_what_would_not_is_left_alone(source):
    assert not list(faults(source))
