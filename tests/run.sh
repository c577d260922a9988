#!/usr/bin/env bash
# Installs what is missing, builds and runs every test:  tests/run.sh [--preset NAME] [ctest options]
#   --preset NAME   release (default), dev, asan-ubsan, tsan
# What a test needs and this machine lacks makes that test skipped, and ctest lists it as such.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
preset=release
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0; fi
if [ "${1:-}" = --preset ]; then
  [ $# -ge 2 ] || { echo "tests/run.sh: --preset needs a name" >&2; exit 2; }
  preset=$2
  shift 2
fi

"$root/cmake/install-packages.sh" build test data
if [ -z "${FEDMETA_DATA:-}" ] && [ -d "$root/../shared/data" ]; then
  FEDMETA_DATA=$(cd "$root/../shared/data" && pwd)
  export FEDMETA_DATA
fi

cd "$root"
# The checker of the alert rules is unpacked beside the build: to install its package would start a monitoring service.
if ! command -v promtool > /dev/null && [ ! -x build/tools/usr/bin/promtool ] && command -v apt-get > /dev/null; then
  echo "fetching promtool from Debian's package prometheus (19 MB), into build/tools"
  mkdir -p build/tools
  { (cd build/tools && apt-get download -qq prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool) &&
    rm build/tools/prometheus_*.deb; } > /dev/null 2>&1 || echo "promtool cannot be had here; its test is skipped"
fi
cmake --preset "$preset" -DFEDMETA_BUILD_TESTS=ON -DFEDMETA_BUILD_BENCH=ON
started=$SECONDS
cmake --build "build/$preset"
echo "built in $((SECONDS - started)) s"

status=0
log=build/$preset/tests.log
ctest --test-dir "build/$preset" --output-on-failure --parallel 2 "$@" 2>&1 | tee "$log" || status=$?
echo
grep -E '^[[:space:]]+[0-9]+ - .*\(Skipped\)' "$log" | sed 's/^[[:space:]]*/skipped: /' || true
grep -E 'tests passed|No tests were found' "$log" || true
exit $status
