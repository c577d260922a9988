#!/usr/bin/env bash
# One coordinator and four sites, real processes over mutual TLS on this machine, meta-learn an initialisation on real images;
# one site is killed on the way and returns; then a site that never took part adapts the result to its own few examples.
#   examples/quickstart.sh [--simulate] [--short] [--out DIR]
#   --simulate   the same experiment in one process
#   --short      few rounds: shows that everything works, not how good it gets
#   --out DIR    output folder (default: runs/quickstart-<UTC time> in the checkout)
set -euo pipefail
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/build/release/bin
sites=4            # that train; the next one, site-5, is the new one
build_cpu_minutes=16

simulate=no short=no out=
while [ $# -gt 0 ]; do
  case $1 in
    --simulate) simulate=yes ;;
    --short) short=yes ;;
    --out) [ $# -ge 2 ] || { echo "quickstart: --out needs a folder" >&2; exit 2; }; out=$2; shift ;;
    --help | -h) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "quickstart: unknown option '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done

# --- processes: every one is a group of its own, stopped and waited for however this script ends ---
declare -A pids=()

# Starts a program in the background, output to logs/NAME.log. It dies with this script, even when that is killed.
start() {
  local name=$1
  shift
  setsid setpriv --pdeathsig KILL "$@" < /dev/null > "$out/logs/$name.log" 2>&1 &
  pids[$name]=$!
}

# Runs a program to its end; Ctrl-C interrupts the wait, not only what is after it.
attend() {
  local name=$1
  shift
  start "$name" "$@"
  local status=0
  wait "${pids[$name]}" || status=$?
  unset "pids[$name]"
  return $status
}

# The same, with this script's own output.
attend_here() {
  local status=0
  setsid setpriv --pdeathsig KILL "$@" < /dev/null &
  pids[here]=$!
  wait "${pids[here]}" || status=$?
  unset "pids[here]"
  return $status
}

# SIGKILL, as a power cut would.
stop_now() {
  kill -KILL -- "-${pids[$1]}" 2> /dev/null || true
  wait "${pids[$1]}" 2> /dev/null || true
  unset "pids[$1]"
}

stop_all() {
  local name deadline=$((SECONDS + 10))
  for name in "${!pids[@]}"; do kill -TERM -- "-${pids[$name]}" 2> /dev/null || true; done
  for name in "${!pids[@]}"; do
    while kill -0 -- "-${pids[$name]}" 2> /dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
    kill -KILL -- "-${pids[$name]}" 2> /dev/null || true
    wait "${pids[$name]}" 2> /dev/null || true
  done
  pids=()
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  trap - EXIT
  stop_all
  exit $status
}
trap finish EXIT
trap 'echo >&2; echo "quickstart: interrupted; stopping all processes" >&2; exit 130' INT TERM HUP

step() { printf '[%s/6] %s\n' "$1" "$2"; }
indent() { sed 's/^/      /'; }
# fail WHAT [LOG]: the last lines of a log say why.
fail() {
  echo "quickstart: $1" >&2
  if [ -n "${2:-}" ] && [ -s "$out/logs/$2.log" ]; then
    tail -n 5 "$out/logs/$2.log" | sed "s/^/  $2: /" >&2
    echo "  all of it: $out/logs/$2.log" >&2
  fi
  exit 1
}
# await SECONDS WHAT LOG COMMAND...: until the command succeeds.
await() {
  local seconds=$1 what=$2 log=$3 deadline=$((SECONDS + $1))
  shift 3
  until "$@"; do
    [ $SECONDS -lt $deadline ] || fail "$what: not within $seconds s" "$log"
    kill -0 "${pids[$log]:-0}" 2> /dev/null || "$@" || fail "$what: $log ended" "$log"
    sleep 0.1
  done
}

# --- 1: packages and build ---
step 1 "packages and build"
"$root/cmake/install-packages.sh" build data | indent
[ -e /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ] ||
  fail "no Fashion-MNIST in /usr/share/datasets/fashion-mnist: it is Debian's package dataset-fashion-mnist (main), see above"
mkdir -p "${out:=$root/runs/quickstart-$(date -u +%Y%m%dT%H%M%SZ)}"
out=$(cd "$out" && pwd)
[ ! -e "$out/run" ] || fail "$out already holds a run; choose another --out"
mkdir -p "$out/logs"

cd "$root"
if [ ! -e build/release/build.ninja ]; then
  cores=$(nproc)
  echo "      first build: about $(((build_cpu_minutes + cores - 1) / cores)) minutes on $cores cores; later ones take seconds"
  attend configure cmake --preset release -DFEDMETA_BUILD_TESTS=OFF -DFEDMETA_BUILD_BENCH=OFF || fail "cmake failed" configure
fi
build_started=$SECONDS
setsid setpriv --pdeathsig TERM cmake --build build/release --target fedmeta fedmeta-learn fedmeta-coordinator \
  < /dev/null > "$out/logs/build.log" 2>&1 &
pids[build]=$!
while kill -0 "${pids[build]}" 2> /dev/null; do
  if [ -t 1 ]; then printf '\r      built %s ' "$(tail -n 1 "$out/logs/build.log" | grep -oE '^\[[0-9]+/[0-9]+\]' || true)"; fi
  sleep 0.5
done
wait "${pids[build]}" || fail "the build failed" build
unset "pids[build]"
[ -t 1 ] && printf '\r'
echo "      built in $((SECONDS - build_started)) s"

# --- 2: sites and identities ---
fedmeta=$bin/fedmeta
experiment=$root/configs/experiments/quickstart.yaml
rounds=$(sed -n 's/.*rounds: \([0-9]*\).*/\1/p' "$experiment")
overrides=()
if [ $short = yes ]; then
  rounds=40
  overrides=("federation.rounds=$rounds" evaluation.every=0 evaluation.episodes=1 "evaluation.steps=[0, 1, 5, 10]")
fi

# identity NAME ROLE AUTHORITY FEDERATION [request options]: a key that stays in pki/NAME, and the signed certificate beside it.
identity() {
  local name=$1 role=$2 authority=$3 federation=$4
  shift 4
  mkdir -m 700 "$out/pki/$name"
  "$fedmeta" pki request --dir "$out/pki/$name" --identity "spiffe://$federation/$role/$name" "$@" &&
    "$fedmeta" pki sign --authority "$authority" --request "$out/pki/$name/$name.csr" --out "$out/pki/$name/$name.pem"
}

make_identities() {
  mkdir -m 700 "$out/pki" "$out/pki/authority" "$out/pki/other-authority" &&
    "$fedmeta" pki init --dir "$out/pki/authority" --federation clothing &&
    "$fedmeta" pki init --dir "$out/pki/other-authority" --federation elsewhere &&
    identity coordinator coordinator "$out/pki/authority" clothing --ip 127.0.0.1 &&
    identity stranger client "$out/pki/other-authority" elsewhere || return 1
  cat "$out/pki/other-authority/authority.pem" "$out/pki/authority/authority.pem" > "$out/pki/stranger/trust.pem"
  cat "$out/pki/other-authority/denylist.pem" "$out/pki/authority/denylist.pem" > "$out/pki/stranger/denylist.pem"
  for ((site = 1; site <= sites + 1; ++site)); do
    identity "site-$site" client "$out/pki/authority" clothing || return 1
  done
}

# A client file like site-1's, with an identity of another federation. It trusts this federation's coordinator; not the reverse.
make_stranger() {
  mkdir -p "$out/stranger"
  sed 's,site-1/site-1,stranger/stranger,g; s,authority/authority.pem,stranger/trust.pem,; s,authority/denylist,stranger/denylist,; s,path: "\.",path: "../site-1",' \
    "$out/site-1/client.yaml" > "$out/stranger/client.yaml"
}

start_coordinator() {
  cat > "$out/pki/coordinator/coordinator.yaml" << YAML
listen: "127.0.0.1:0"
identity: {certificate: coordinator.pem, key: coordinator.key, trust: ../authority/authority.pem, revocation_list: ../authority/denylist.pem}
experiment: "$experiment"
initial_state: "$out/initial.safetensors"
members: ["spiffe://clothing/client/*"]
out: "$out/run"
YAML
  start coordinator "$bin/fedmeta-coordinator" coordinator "$out/pki/coordinator/coordinator.yaml" "${overrides[@]}"
}

find_address() {
  address=$(grep -oE '127\.0\.0\.1:[1-9][0-9]*' "$out/logs/coordinator.log" | head -n 1)
  [ -n "$address" ]
}

address=127.0.0.1:1
if [ $simulate = yes ]; then
  step 2 "sites: $sites that train, site-$((sites + 1)) that is new; each has 5 kinds of clothing under its own codes, 20 images of each"
else
  attend init "$fedmeta" init "$experiment" "${overrides[@]}" --out "$out/initial.safetensors" || fail "fedmeta init failed" init
  make_identities > "$out/logs/pki.log" 2>&1 || fail "fedmeta pki failed" pki
  start_coordinator
  await 60 "the coordinator's start" coordinator find_address
fi
attend partition "$fedmeta" partition "$experiment" "${overrides[@]}" --out "$out" --coordinator "$address" ||
  fail "fedmeta partition failed" partition
if [ $simulate = no ]; then
  step 2 "sites: $sites that train, site-$((sites + 1)) that is new; 5 kinds of clothing each under own codes, 20 images of each; keys made on site"
fi

# --- 3 and 4: train ---
# Committed training rounds of the main leg so far.
rounds_done() {
  local last
  last=$(grep '"leg": *"maml' "$out/run/rounds.jsonl" 2> /dev/null | tail -n 1 | sed -n 's/.*"round": *\([0-9]*\).*/\1/p') || true
  echo "${last:-0}"
}
show_round() {
  if [ -t 1 ]; then printf '\r[4/6] training   round %s/%s ' "$1" "$rounds"
  elif [ "$1" -ge "$next_shown" ]; then
    echo "[4/6] training   round $1/$rounds"
    next_shown=$(($1 + (rounds + 4) / 5))
  fi
}
# news ROUND TEXT: a line below the moving one.
news() {
  [ -t 1 ] && echo
  printf '      round %3d   %s\n' "$1" "$2"
}
# Whether a committed round names a site as dropped; sets lost_round, lost_reported.
closed_without() {
  local record
  record=$(awk -v site="\"client\":\"$1\"" 'index($0, site) && /"committed":true/ {print; exit}' "$out/run/rounds.jsonl" 2> /dev/null) || return 1
  [ -n "$record" ] || return 1
  lost_round=$(sed -n 's/.*"round":\([0-9]*\).*/\1/p' <<< "$record")
  lost_reported=$(sed -n 's/.*"reported":\[\([^]]*\)\].*/\1/p' <<< "$record" | tr ',' '\n' | grep -c .)
}
ended() { ! kill -0 "${pids[$1]}" 2> /dev/null; }
back_or_over() { grep -q joined "$out/logs/site-3.log" || ended coordinator; }
joined() { [ "$(grep -lE 'joined' "$out"/logs/site-*.log 2> /dev/null | wc -l)" -ge $sites ]; }
# By the coordinator: gRPC's own line for a certificate of another authority, or ours for one that is no member's.
refused() { grep -qsE "certificate verify failed|peer_refused" "$out/logs/coordinator.log"; }

run_live() {
  local site
  make_stranger
  start stranger "$bin/fedmeta-learn" client "$out/stranger/client.yaml"
  await 60 "the stranger's refusal" stranger refused
  stop_now stranger

  for ((site = 1; site <= sites; ++site)); do
    echo 'resources: {threads: 1}' >> "$out/site-$site/client.yaml"
    start "site-$site" "$bin/fedmeta-learn" client "$out/site-$site/client.yaml"
  done
  await 120 "four sites joining" coordinator joined
  step 3 "$sites sites joined over mutual TLS; a stranger was refused (certificate not issued for this federation)"

  local now=0 state=whole kill_at=$((rounds / 5)) return_at=$((rounds * 3 / 10)) next_shown=0 said=no
  while kill -0 "${pids[coordinator]}" 2> /dev/null; do
    now=$(rounds_done)
    if [ $said = no ]; then show_round "$now"; fi
    if [ $state = whole ] && [ "$now" -ge $kill_at ]; then
      stop_now site-3
      state=killed
    elif [ $state = killed ] && closed_without site-3; then
      news "$lost_round" "site-3 killed in mid-round -> round closed with the exact sum of $lost_reported"
      state=gone
    elif [ $state = gone ] && [ "$now" -ge $return_at ]; then
      start site-3 "$bin/fedmeta-learn" client "$out/site-3/client.yaml"
      await 60 "site-3's return" site-3 back_or_over
      if ended coordinator; then
        state=late
      else
        news "$(rounds_done)" "site-3 is back"
        state=back
      fi
    elif [ "$now" -ge "$rounds" ] && [ $said = no ]; then
      next_shown=0
      show_round "$now"
      [ -t 1 ] && echo
      echo "      the baselines follow: FedAvg over the same sites, each site alone"
      said=yes
    fi
    sleep 0.2
  done
  wait "${pids[coordinator]}" || fail "the coordinator failed" coordinator
  unset "pids[coordinator]"
  case $state in
    back) ;;
    gone | late) # nothing that training needs: the round closed without it
      echo "      training ended before site-3 was back"
      if [ $state = late ]; then stop_now site-3; fi
      ;;
    *) fail "training ended before site-3 was killed ($state)" coordinator ;;
  esac
  for ((site = 1; site <= sites; ++site)); do
    if [ -z "${pids[site-$site]:-}" ]; then continue; fi
    await 30 "the end of site-$site" "site-$site" ended "site-$site"
    wait "${pids[site-$site]}" || fail "site-$site failed" "site-$site"
    unset "pids[site-$site]"
  done
}

if [ $simulate = yes ]; then
  step 3 "one process: $sites virtual sites and 5 that never train"
  step 4 "training   $rounds rounds, then the baselines"
  attend_here "$fedmeta" run "$experiment" "${overrides[@]}" --out "$out/run" || fail "fedmeta run failed"
else
  run_live
fi

# --- 5: what left a site ---
if [ $simulate = yes ]; then
  step 5 "nothing left a site: this was a simulation"
else
  ledger=$out/site-1/state/outbound.jsonl
  [ -s "$ledger" ] || fail "site-1 kept no record of what left it" site-1
  step 5 "what left site-1: $(awk -F'"bytes":' 'NF > 1 {split($2, part, /[,}]/); bytes += part[1]}
    /"kind":"masked update"/ {++updates} /"kind":"masked metrics"/ {++sums}
    END {printf "%d masked updates, %d masked sums of figures, %.1f MB", updates, sums, bytes / 1e6}' "$ledger"); 0 images, 0 labels"
fi

# --- 6: a site that never took part ---
new=site-$((sites + 1))
episodes=100
[ $short = no ] || episodes=10
for shots in 1 5; do
  step 6 "a new site, its own codes, $shots example$([ $shots = 1 ] || echo s) of each of 4 classes"
  attend "adapt-$shots" "$bin/fedmeta-learn" adapt --model "$out/run" --data "$out/$new/client.yaml" --shots $shots \
    --episodes $episodes --out "$out/adapted-$shots" || fail "fedmeta adapt failed" "adapt-$shots"
  grep -vE '^(adapting|wrote) ' "$out/logs/adapt-$shots.log" | indent
done
[ $short = no ] || echo "      ($rounds rounds show that it works, not how good it gets: leave out --short for that)"
echo
echo "report   $out/run/report.html"
echo "model    $out/adapted-5 (weights and load.py for stock PyTorch)"
echo "took     $((SECONDS / 60)) min $((SECONDS % 60)) s"
