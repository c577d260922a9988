#!/usr/bin/env bash
# Compares fedmeta with PyTorch and with floors, both sides interleaved in one run on this machine, and prints ratios:
#   bench/run.sh [sinusoid|conv4|rounds|store|start|memory|resume|commit|secure-core|secure|csv|all] [--repetitions N] [--seconds S] [--json FILE]
# Builds what it needs in build/release. Needs python3-torch; `rounds` and `secure` also need ss (Debian's iproute2), `csv` python3-pandas.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0; fi

cd "$root"
[ -e build/release/build.ninja ] || cmake --preset release
cmake --build build/release --target fedmeta fedmeta-learn conv4-bench null-learn null-coordinator many-clients tls-floor store-commit csv-read secure-core empty-torch
exec /usr/bin/python3 bench/compare.py "$@"
