#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the bytes of a BPF object as a header: embed.py OBJECT HEADER."""
import pathlib
import sys

data = pathlib.Path(sys.argv[1]).read_bytes()
pathlib.Path(sys.argv[2]).write_text(
    "#include <cstdint>\n"
    f"alignas(8) constexpr uint8_t kTrafficBytes[] = {{{','.join(map(str, data))}}};\n")
