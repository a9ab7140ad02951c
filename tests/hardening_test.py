#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails if a program is not built as hardened as reliability 9 asks.  Arguments: the programs."""
import re
import subprocess
import sys


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], check=True, capture_output=True,
                          text=True).stdout


def problems(program):
    header, segments = readelf("-h", program), readelf("-l", program)
    dynamic, symbols = readelf("-d", program), readelf("--dyn-syms", program)
    if "Position-Independent Executable" not in header:
        yield "is not position-independent (PIE)"
    if "GNU_RELRO" not in segments or not re.search(r"FLAGS.*NOW", dynamic):
        yield "has no full RELRO"
    if not re.search(r"GNU_STACK.* RW ", segments):
        yield "has an executable stack"
    if re.search(r"LOAD.* RWE ", segments):
        yield "has memory that is writable and executable"
    if re.search(r"R(UN)?PATH", dynamic):
        yield "looks for libraries where the build says"
    if "__stack_chk_fail" not in symbols:
        yield "has no stack protector"
    if not re.search(r"__\w+_chk@", symbols.replace("__stack_chk", "")):
        yield "has no fortified calls (_FORTIFY_SOURCE)"
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-j", ".text", program],
                          check=True, capture_output=True, text=True).stdout
    functions = re.findall(r"<main>:\n\s*[0-9a-f]+:\s*(\S+)", code)
    if functions != ["endbr64"]:
        yield "is built without CET: main begins with " + str(functions)


def main():
    found = [f"{program} {what}" for program in sys.argv[1:] for what in problems(program)]
    print("\n".join(found) if found else "hardening: fine")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
