"""Virtual environments and wheels for tests: what a stranger would install, built from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PYTHON = Path(sys.executable)
PIP = (str(PYTHON.with_name("uv")), "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")


def run(*argv: str, cwd: Path | None = None, **exported: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a plain shell's environment."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(argv, cwd=cwd, env={**keep, **exported}, capture_output=True, text=True, check=False)


def build(folders: Iterable[Path], out: Path) -> dict[str, Path]:
    """The wheels of distributions, by their package's name."""
    for folder in folders:
        done = run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out), cwd=folder)
        assert done.returncode == 0, done.stderr
    return {path.name.split("-")[0]: path for path in out.glob("*.whl")}


def environment(folder: Path, *distributions: str, pip: bool = False) -> Path:
    """A virtual environment with the locked libraries of this one and the given distributions; its `launcher`."""
    subprocess.run([sys.executable, "-m", "venv", *(() if pip else ("--without-pip",)), str(folder)], check=True)
    here = PYTHON.parent.parent
    libraries = next(here.glob("lib/python*/site-packages"))
    own = next(folder.glob("lib/python*/site-packages"))
    for item in libraries.iterdir():
        ours = item.name.lower().replace("-", "_").lstrip("_")
        if not ours.startswith(("service_launcher", "launcher_", "editable_", "pip", "setuptools")):
            target = own / item.name
            if not target.exists():
                target.symlink_to(item)
    if distributions:
        done = run(*PIP, "--python", str(folder / "bin/python"), *distributions)
        assert done.returncode == 0, done.stderr
    return folder / "bin/launcher"


def site(folder: Path, *distributions: Path) -> Path:
    """Distributions installed into a folder that goes on PYTHONPATH, beside everything of this environment."""
    done = run(*PIP, "--python", str(PYTHON), "--target", str(folder), *map(str, distributions))
    assert done.returncode == 0, done.stderr
    return folder
