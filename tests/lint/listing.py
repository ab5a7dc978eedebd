"""What the lint scripts in Python share: the project's root folder, and its files as lib.sh lists them."""
import os
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))


def project_files(*patterns):
    """Paths from the root folder. A project without files is an error, not a clean one."""
    command = ["bash", "-c", '. "$0" && files "$@"', os.path.join(ROOT, "tests/lint/lib.sh"), *patterns]
    files = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    assert files, f"no file is like {' or '.join(patterns)}"
    return files
