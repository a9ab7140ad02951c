# SPDX-License-Identifier: Apache-2.0
"""Debian's packages: installed where they are missing, or unpacked where nothing is to be."""
import os
import pathlib
import re
import shutil
import sys
import tempfile

from scene import run


def _apt(*command, timeout, **options):
    """apt-get; once more with fresh lists if it fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = {"timeout": timeout, "env": environment, **options}
    if run("apt-get", *command, check=False, **options).returncode != 0:
        run("apt-get", "update", "-qq", timeout=300, env=environment)
        run("apt-get", *command, **options)


def install(packages):
    missing = [p for p in sorted(packages) if "install ok installed" not in run(
        "dpkg-query", "-W", "-f", "${Status}", p, check=False).stdout]
    if missing:
        print("installing:", *missing, file=sys.stderr, flush=True)
        _apt("install", "-y", "-qq", "--no-install-recommends", *missing, timeout=600)


def unpack(packages, directory):
    """All of it or nothing: `directory` holds the packages and what is in them."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    part = pathlib.Path(tempfile.mkdtemp(prefix=directory.name + ".", dir=directory.parent))
    try:
        part.chmod(0o755)
        # apt wants to drop its rights to _apt, which cannot write here.
        _apt("-o", "APT::Sandbox::User=root", "download", *packages, cwd=part, timeout=120)
        for package in part.glob("*.deb"):
            run("dpkg-deb", "-x", str(package), str(part))
        shutil.rmtree(directory, ignore_errors=True)
        part.rename(directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def libraries(directory):
    """The libraries that the packages in a directory depend on: what unpacked programs need."""
    found = set()
    for package in directory.glob("*.deb"):
        depends = run("dpkg-deb", "-f", str(package), "Depends").stdout
        names = re.findall(r"[a-z0-9][a-z0-9+.-]*", re.sub(r"\(.*?\)", "", depends))
        found |= {name for name in names if name.startswith("lib")}
    return found
