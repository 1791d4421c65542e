"""Fixtures of several test files."""

import textwrap

import pytest


@pytest.fixture
def program(tmp_path):
    """Writes a program into a folder of the test and returns its path."""

    def write(text, name="program.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write
