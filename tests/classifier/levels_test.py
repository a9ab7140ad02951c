#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A look-up compiled for one processor level offers no code to another.

An inline function that was not inlined is a weak symbol, and the linker keeps one copy of it,
from whichever level it comes: an old processor might then meet AVX-512.
"""
import re
import subprocess
import sys


def symbols(library):
    out = subprocess.run(["nm", "-C", library], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^[0-9a-f]+ (\w) (.*)$", out, re.MULTILINE)


failed = False
for library in sys.argv[1:]:
    found = symbols(library)
    strong = [name for kind, name in found if kind == "T"]
    weak = [name for kind, name in found if kind in "Ww"]
    level = library.rpartition("_")[2].partition(".")[0]
    all_of_level = all(name.partition("(")[0].endswith(level) for name in strong)
    failed = failed or not strong or not all_of_level or bool(weak)
    print(f"{library}: offers {strong}, shares {weak}")
sys.exit(failed)
