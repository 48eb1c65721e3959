"""What `pyproject.toml` cannot say: a wheel also holds what lies beside the packages.

`ipc/places.py` finds these files in both places, so the checkout stays their only source.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("migrations", "frontend/dist")
FILES = ("supervisord.conf", ".env.example", ".env.demo.example", ".env.production.example")


class BuildWithResources(build_py):
    """The packages, and `processes/packaged/` with copies of the folders and files above."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "processes", "packaged")
        shutil.rmtree(target, ignore_errors=True)  # of an earlier build
        for name in FOLDERS:
            shutil.copytree(name, target / name)
        for name in FILES:
            shutil.copy(name, target / name)


setup(cmdclass={"build_py": BuildWithResources})
