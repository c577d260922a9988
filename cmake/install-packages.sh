#!/usr/bin/env bash
# Installs what is missing of cmake/packages.txt:  cmake/install-packages.sh [--size-only] GROUP...
# Says first what and how many MB. As root it installs; otherwise it prints the command and exits 1 (on a terminal it asks
# before it uses sudo). Group `data` is optional: what cannot be had is named, and the exit status stays 0.
#   --size-only   say what would be installed, change nothing
# A line of the list may name alternatives, "name|older-name": the first that is installed or can be had counts.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
list=$here/packages.txt
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }
say() { echo "packages: $*"; }
fail() { echo "packages: $*" >&2; exit 1; }

size_only=no groups=()
for argument in "$@"; do
  case $argument in
    --size-only) size_only=yes ;;
    --help | -h) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *)
      grep -qE "^[^#[:space:]]+[[:space:]]+$argument\$" "$list" || { echo "packages: no group '$argument' in $list" >&2; exit 2; }
      groups+=("$argument") ;;
  esac
done
[ ${#groups[@]} -gt 0 ] || { usage >&2; exit 2; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
available() { [[ $(apt-cache policy "$1" 2>/dev/null) =~ Candidate:\ [^\(] ]]; }

# Prints the lines of a group, one "name|alternative" each, of which nothing is installed.
missing_of() {
  local line name
  while read -r line; do
    for name in ${line//|/ }; do
      installed "$name" && continue 2
    done
    echo "$line"
  done < <(awk -v group="$1" '$1 !~ /^#/ && $2 == group {print $1}' "$list")
}

# Sets `found` and `absent` from lines of alternatives.
choose() {
  local line name
  found=() absent=()
  for line in "$@"; do
    for name in ${line//|/ }; do
      if available "$name"; then found+=("$name"); continue 2; fi
    done
    absent+=("$line")
  done
}

# "112 MB to fetch, 640 MB on disk" for the packages and what they pull in.
sizes() {
  apt-get install --print-uris -y --no-install-recommends "$@" 2>/dev/null | awk '
    /^Need to get/ {sub(/^Need to get /, ""); sub(/ of archives.*/, ""); sub(/.*\//, ""); fetch = $0}
    /^After this operation/ {sub(/^After this operation, /, ""); sub(/ of additional.*/, ""); disk = $0}
    END {print (fetch == "" ? "nothing" : fetch) " to fetch, " (disk == "" ? "no more" : disk) " on disk"}'
}

install() {
  local log
  log=$(mktemp)
  if ! apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@" > "$log" 2>&1; then
    tail -n 5 "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

required=() optional=()
for group in "${groups[@]}"; do
  if [ "$group" = data ]; then mapfile -t -O ${#optional[@]} optional < <(missing_of "$group")
  else mapfile -t -O ${#required[@]} required < <(missing_of "$group"); fi
done
if [ $((${#required[@]} + ${#optional[@]})) = 0 ]; then
  say "all there (${groups[*]})"
  exit 0
fi
if ! command -v apt-get > /dev/null; then
  [ ${#required[@]} = 0 ] && { say "no apt-get here; going on without ${optional[*]}"; exit 0; }
  fail "missing: ${required[*]}. There is no apt-get here; install what corresponds to them and try again."
fi

choose "${required[@]}" "${optional[@]}"
if [ ${#absent[@]} -gt 0 ] && [ "$(id -u)" = 0 ]; then
  say "fetching Debian's package lists (apt-get update)"
  apt-get update -qq > /dev/null 2>&1 || say "apt-get update failed; using the lists that are there"
fi
choose "${optional[@]}"
data=("${found[@]}")
[ ${#absent[@]} = 0 ] || say "cannot be had here, going on without: ${absent[*]}"
choose "${required[@]}"
if [ ${#absent[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] && fail "not in this machine's package lists: ${absent[*]}. Check /etc/apt/sources.list (Debian 12 or newer, main)."
  fail "not in this machine's package lists: ${absent[*]}. Run 'sudo apt-get update' and try again."
fi
packages=("${found[@]}")
[ $((${#packages[@]} + ${#data[@]})) -gt 0 ] || exit 0

say "to install: ${packages[*]} ${data[*]}"
say "$(sizes "${packages[@]}" "${data[@]}"), with what they need"
[ $size_only = no ] || exit 0

if [ "$(id -u)" != 0 ]; then
  command="sudo apt-get install -y --no-install-recommends ${packages[*]} ${data[*]}"
  if [ -t 0 ] && command -v sudo > /dev/null; then
    read -r -p "packages: run '$command' now? [y/N] " answer
    if [ "$answer" = y ] || [ "$answer" = Y ]; then
      # shellcheck disable=SC2086
      $command && exit 0
      fail "the installation failed."
    fi
  fi
  [ ${#packages[@]} = 0 ] && { say "going on without ${data[*]}; to install: $command"; exit 0; }
  fail "needs root. Run: $command"
fi

say "installing; this can take some minutes"
if [ ${#packages[@]} -gt 0 ]; then
  if ! install "${packages[@]}"; then
    say "trying again with fresh package lists"
    apt-get update -qq > /dev/null 2>&1 || true
    install "${packages[@]}" || fail "the installation failed."
  fi
fi
if [ ${#data[@]} -gt 0 ]; then
  install "${data[@]}" || say "could not be installed, going on without: ${data[*]}"
fi
say "installed"
