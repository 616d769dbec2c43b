#!/usr/bin/env bash
# exported.sh LIBRARY: the C++ names that a shared convkit exports, which exported.txt has. Weak ones are left out:
# they are inline functions, templates and vtables, which differ from compiler to compiler.
set -euo pipefail
nm -DC --defined-only "$1" | sed -nE 's/^[0-9a-f]+ [TDRB] //p' | LC_ALL=C sort -u
