#!/usr/bin/env bash
# Measures how long images take from a registry into the nodes of a kind cluster, by hand and with milvusctl, and
# compares milvusctl's share with its goals.
#
# tests/bench/load.sh [RUN...]    everything, or some of: load again second upgrade cut stall slow limits pods
#
#   load     in turns, BENCH_RUNS times: (a) the article's loop, docker pull and kind load docker-image for one image
#            after the other; (b) all pulls, then one kind load docker-image; (c) milvusctl load-missing-images
#   again    (c) with nothing to do
#   second   (c) into empty nodes, as in a second cluster, from a full store
#   upgrade  an image with one new layer: pull and kind load, then milvusctl
#   cut      a registry that ends every connection after 5 MB: docker pull, then milvusctl
#   stall    a mirror that stalls in the middle of every large blob, ahead of a registry that does not
#   slow     a registry limited to 4 MiB/s per connection, and one large layer: docker pull, then milvusctl
#   limits   all images of `--small` from a mirror that allows 20 requests a minute on 10 connections, and delays
#            responses by size
#   pods     find and plan with 5,000 and 50,000 pods, compared to kubectl printing them
#
# One control plane and three workers; one pod waits for each image, spread over the workers. Each run starts with the
# images removed from nodes, engine and store. Every figure in a report comes from one run of this script, which takes
# some ten minutes on two cores.
# Needs docker, kind, kubectl, curl, python3, a registry the engine can pull from without TLS, and an idle machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

: "${MILVUSCTL:=../../target/release/milvusctl}"
: "${BENCH_REGISTRY:=127.0.0.1:5000}"   # loopback: the engine pulls from it, the nodes cannot
: "${BENCH_PORT:=5090}"                 # this port and the next four serve the registry with faults, or counted
: "${BENCH_CLUSTER:=milvusctl-test-bench}"
: "${BENCH_RUNS:=3}"
: "${BENCH_IMAGES:=8}" "${BENCH_MIB:=48}" "${BENCH_SHARED_MIB:=16}" "${BENCH_LARGE_MIB:=96}"
: "${BENCH_KIND_NODES:=all}"            # all: kind's default; workers: the nodes milvusctl loads
: "${BENCH_BASE:=busybox:1.36}"
: "${BENCH_KEEP:=}"                     # not empty: keep the cluster

runs=("$@")
[ $# -gt 0 ] || runs=(load again second upgrade cut stall slow limits pods)
path=milvusctl-bench
prefix=$BENCH_REGISTRY/$path
work=$(mktemp -d)
made=
fronts=()
results=$work/results
store=$work/store
export KUBECONFIG=$work/kubeconfig

say() { printf '%s\n' "$*" >&2; }
give_up() { say "load.sh: $*"; exit 1; }
wanted() { local run; for run in "$@"; do [[ " ${runs[*]} " == *" $run "* ]] && return; done; return 1; }
name() { echo "$prefix/image-$1:${2:-1}"; }
names() { local n; for n in $(seq "$BENCH_IMAGES"); do name "$n"; done; }
measure() { python3 measure.py "$results" "$@"; }
note() { printf '%s\n' "$1" >>"$work/notes"; }
kube() { kubectl --context "kind-$BENCH_CLUSTER" "$@"; }
nodes() { kind get nodes --name "$BENCH_CLUSTER" | sort; }
workers() { nodes | grep worker; }

finish() {
  local status=$?
  trap - EXIT INT TERM
  # Report what was measured even after a failure.
  if [ -e "$results" ]; then python3 report.py "$results" "$work/notes" "$BENCH_KIND_NODES" || status=1; fi
  [ ${#fronts[@]} -eq 0 ] || kill "${fronts[@]}" 2>/dev/null || true
  if [ -n "$made" ] && [ -z "$BENCH_KEEP" ]; then kind delete cluster --name "$BENCH_CLUSTER" >&2 || true; fi
  forget_images || true
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- images, registries and cluster ---------------------------------------------------------------------------
random_file() { head -c "$(($1 * 1048576))" /dev/urandom >"$2"; }

build() { # build NAME BASE MIB: one layer of random bytes over BASE, pushed, and removed from the engine
  local context=$work/build
  mkdir -p "$context"
  random_file "$3" "$context/data-$3"
  printf 'FROM %s\nCOPY data-%s /data-%s-%s\n' "$2" "$3" "$3" "$RANDOM" >"$context/Dockerfile"
  DOCKER_BUILDKIT=0 docker build --quiet --tag "$1" "$context" >/dev/null
  docker push --quiet "$1" >/dev/null
  rm -rf "$context"
}

make_images() {
  # The tag contains the sizes, so other sizes build other images.
  local mark=$prefix/bases:$BENCH_IMAGES-$BENCH_MIB-$BENCH_SHARED_MIB-$BENCH_LARGE_MIB n
  if docker pull --quiet "$mark" >/dev/null 2>&1; then docker rmi "$mark" >/dev/null; return; fi
  say "making $BENCH_IMAGES images of $BENCH_MIB MiB over a shared layer of $BENCH_SHARED_MIB MiB"
  docker pull --quiet "$BENCH_BASE" >/dev/null
  build "$prefix/shared:1" "$BENCH_BASE" "$BENCH_SHARED_MIB"
  for n in $(seq "$BENCH_IMAGES"); do build "$(name "$n")" "$prefix/shared:1" "$BENCH_MIB"; done
  for n in 1 2; do build "$(name "$n" 2)" "$(name "$n")" 4; done
  # From scratch, because the engine may hold the base already and would pull less.
  build "$prefix/large:1" scratch "$BENCH_LARGE_MIB"
  docker tag "$prefix/shared:1" "$mark"
  docker push --quiet "$mark" >/dev/null
  forget_images
}

planned_images() { # the images of `--small`, which all come from Docker Hub
  "$MILVUSCTL" images plan --small -o json | python3 -c '
import json, sys
for image in json.load(sys.stdin)["images"]:
    print(image["image"].removeprefix("docker.io/"))'
}
hold_plan() { # puts what the registry lacks of them into it
  local image
  for image in $(planned_images); do
    if ! curl --silent --fail --output /dev/null --head \
      --header 'Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json' \
      --header 'Accept: application/vnd.docker.distribution.manifest.list.v2+json' \
      --header 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
      "http://$BENCH_REGISTRY/v2/${image%:*}/manifests/${image##*:}"; then
      docker pull --quiet "$image" >/dev/null
      docker tag "$image" "$BENCH_REGISTRY/$image"
      docker push --quiet "$BENCH_REGISTRY/$image" >/dev/null
      docker rmi "$BENCH_REGISTRY/$image" >/dev/null
    fi
  done
}

front() { # front NUMBER [HABIT...]: the registry behind a proxy with faults, at 127.0.0.1:PORT
  local number=$1 port=$((BENCH_PORT + $1)) _
  shift
  python3 registry.py "$BENCH_REGISTRY" "$work/front-$number" "$port" "$@" &
  fronts+=($!)
  for _ in $(seq 50); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
    sleep 0.1
  done
  give_up "port $port is not free; name another with BENCH_PORT"
}
behind() { echo "127.0.0.1:$((BENCH_PORT + $1))/$path"; }
sent_by() { # sent_by NUMBER: the bytes sent since the last call
  [ ! -e "$work/front-$1" ] || mv "$work/front-$1" "$work/front-$1.read"
  if [ -e "$work/front-$1.read" ]; then
    python3 -c 'import json, sys; print(sum(json.loads(line)["bytes"] for line in open(sys.argv[1])))' "$work/front-$1.read"
    rm "$work/front-$1.read"
  else
    echo 0
  fi
}

make_cluster() {
  if kind get clusters 2>/dev/null | grep -qx "$BENCH_CLUSTER"; then
    kind export kubeconfig --name "$BENCH_CLUSTER" >&2
    return
  fi
  made=yes
  local image=()
  [ -z "${MILVUSCTL_NODE_IMAGE:-}" ] || image=(--image "$MILVUSCTL_NODE_IMAGE")
  kind create cluster --name "$BENCH_CLUSTER" "${image[@]}" --wait 5m --config - >&2 <<'YAML'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}, {role: worker}, {role: worker}, {role: worker}]
YAML
}

forget_images() { # removes them from the engine, under all their names here
  docker images --format '{{.Repository}}:{{.Tag}}' | { grep "^127.0.0.1:[0-9]*/$path/\|^$prefix/" || true; } |
    xargs -r docker rmi >/dev/null
}

# Removes the images everywhere. containerd's CRI plugin gives each a second name, which keeps its content.
clean() {
  kube delete pods --all --now --wait >/dev/null
  local node
  for node in $(nodes); do
    docker exec -i "$node" bash -s -- "/$path/" <<'NODE'
set -eu
list() { ctr -n k8s.io images ls | tail -n +2; }
digests=$(list | awk -v path="$1" 'index($1, path) { print $3 }' | sort -u)
for digest in $digests; do
  config=$(ctr -n k8s.io content get "$digest" | grep -o '"config":{[^}]*' | grep -o 'sha256:[0-9a-f]*' || true)
  list | awk -v digest="$digest" -v config="$config" '$3 == digest || $1 == config { print $1 }' |
    xargs -r ctr -n k8s.io images rm --sync >/dev/null
done
NODE
    if docker exec "$node" ctr -n k8s.io images ls -q | grep -q "/$path/"; then
      give_up "$node still has images of the last run"
    fi
  done
  forget_images
}

wait_for() { # wait_for WHAT COUNT PATTERN: pods whose line matches
  local _
  for _ in $(seq 300); do
    [ "$(kube get pods --no-headers 2>/dev/null | grep -Ec "$3")" -ge "$2" ] && return
    sleep 1
  done
  give_up "$1: waited for five minutes"
}

start_pods() { # start_pods TAG IMAGE-NUMBER...: a pod for each, spread over the workers
  local tag=$1 n worker=() place
  mapfile -t worker < <(workers)
  shift
  for n in "$@"; do
    place=${worker[n % ${#worker[@]}]}
    cat <<YAML
---
apiVersion: v1
kind: Pod
metadata: {name: wants-$n-$tag, namespace: default}
spec:
  nodeName: $place
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "$(name "$n" "$tag")", imagePullPolicy: IfNotPresent, command: [sleep, "86400"]}]
YAML
  done | kube apply -f - >/dev/null
  local waiting
  waiting=$(printf '%s|' "$@")
  wait_for "pods wait for their images" $# "^wants-(${waiting%|})-$tag .*(ErrImagePull|ImagePullBackOff)"
}

# --- the runs -------------------------------------------------------------------------------------------------

kind_load() { # kind_load IMAGE...
  local only=()
  [ "$BENCH_KIND_NODES" = all ] || only=(--nodes "$(workers | paste -sd,)")
  kind load docker-image --name "$BENCH_CLUSTER" "${only[@]}" "$@" >&2
}
by_hand_one_by_one() {
  local image
  for image in "$@"; do docker pull --quiet "$image" >/dev/null; kind_load "$image"; done
}
by_hand_at_once() {
  local image
  for image in "$@"; do docker pull --quiet "$image" >/dev/null; done
  kind_load "$@"
}
export -f kind_load by_hand_one_by_one by_hand_at_once workers nodes
export BENCH_CLUSTER BENCH_KIND_NODES

run_by_hand() { # run_by_hand NAME FUNCTION IMAGE...
  local name=$1 function=$2
  shift 2
  # shellcheck disable=SC2016
  measure "$name" -- bash -euc '"$@"' bash "$function" "$@"
}
run_milvusctl() { # run_milvusctl NAME
  measure "$1" -- "$MILVUSCTL" load-missing-images --name "$BENCH_CLUSTER" --namespace default \
    --mirror-preset none --store "$store" -o json
}
fetch() { # fetch NAME IMAGE... [FLAG...]: downloads into a store and discards the archive
  local name=$1
  shift
  measure "$name" -- "$MILVUSCTL" images save --output "$work/$name.tar" --mirror-preset none --pull-with registry "$@"
  rm -f "$work/$name.tar"
}
docker_pull() { timeout 90 docker pull --quiet "$1" >/dev/null 2>"$work/docker.err" || { cat "$work/docker.err" >&2; return 1; }; }
export -f docker_pull
export work

archive_bytes() { # what kind reads from the engine for each image, and sends to each node
  local image sum=0
  for image in "$@"; do sum=$((sum + $(docker save "$image" | wc -c))); done
  echo "$sum"
}
blob_bytes() { # the bytes of all blobs in a store, which is what had to be fetched
  find "$1/blobs" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }'
}

mapfile -t all_images < <(names)
mapfile -t numbers < <(seq "$BENCH_IMAGES")
[ -x "$MILVUSCTL" ] || give_up "there is no $MILVUSCTL: run \`cargo build --release\`, or set MILVUSCTL"

! wanted load again second upgrade cut stall slow limits || make_images

if wanted limits; then
  # It mostly waits, so it starts during setup, which is not measured.
  hold_plan
  front 4 limit=20 connections=10 hold=1000
  (
    results=$work/limits
    # By these names only the mirror has them, not the engine nor its own mirrors.
    mapfile -t planned < <(planned_images | sed "s,^,127.0.0.1:$((BENCH_PORT + 4))/,")
    fetch limits-1 "${planned[@]}" --store "$work/limits-store"
    cp "$work/front-4" "$work/front-4.first"; : >"$work/front-4"
    "$MILVUSCTL" images prune --all --store "$work/limits-store" >&2
    # The limit is per minute: wait until the last requests no longer count.
    sleep 60
    fetch limits-2 "${planned[@]}" --store "$work/limits-store"
  ) &
  limits=$!
fi

if wanted load again second upgrade; then
  make_cluster
  node=$(workers | head -1)
  note "containerd=$(docker exec "$node" containerd --version | grep -o 'v\?[0-9]*\.[0-9]*\.[0-9]*' | head -1 | tr -d v | cut -d. -f1)"
fi

if wanted load; then
  for run in $(seq "$BENCH_RUNS"); do
    say "load $run of $BENCH_RUNS: (a) pull and load, one image after the other"
    clean; start_pods 1 "${numbers[@]}"
    run_by_hand "a-$run" by_hand_one_by_one "${all_images[@]}"
    [ "$run" -gt 1 ] || note "kind_bytes=$(archive_bytes "${all_images[@]}")"
    say "load $run of $BENCH_RUNS: (b) all pulls, one load"
    clean; start_pods 1 "${numbers[@]}"
    run_by_hand "b-$run" by_hand_at_once "${all_images[@]}"
    # One archive of all images holds the shared layer only once.
    [ "$run" -gt 1 ] || note "kind_at_once_bytes=$(docker save "${all_images[@]}" | wc -c)"
    say "load $run of $BENCH_RUNS: (c) milvusctl"
    clean; rm -rf "$store"; start_pods 1 "${numbers[@]}"
    run_milvusctl "c-$run"
    wait_for "pods run" "$BENCH_IMAGES" Running
  done
fi
if wanted again; then
  say "again: nothing to do"
  wanted load || { clean; start_pods 1 "${numbers[@]}"; run_milvusctl c-1; }
  for n in 1 2 3 4 5; do run_milvusctl "again-$n"; done
fi
if wanted second upgrade; then
  front 0
  prefix=$(behind 0)
  store=$work/counted-store
  clean; start_pods 1 1 2
  sent_by 0 >/dev/null
  run_milvusctl counted
  note "counted_bytes=$(sent_by 0)"
fi
if wanted second; then
  say "second: nodes that hold nothing, a store that holds all"
  clean; start_pods 1 1 2
  run_milvusctl second
  note "second_bytes=$(sent_by 0)"
fi
if wanted upgrade; then
  say "upgrade: one layer of 4 MiB is new"
  docker_pull "$(name 1)"
  start_pods 2 1
  run_by_hand upgrade-by-hand by_hand_one_by_one "$(name 1 2)"
  note "upgrade_kind_bytes=$(archive_bytes "$(name 1 2)")"
  start_pods 2 2
  sent_by 0 >/dev/null
  run_milvusctl upgrade
  note "upgrade_registry_bytes=$(sent_by 0)"
fi
prefix=$BENCH_REGISTRY/$path
if wanted cut; then
  say "cut: every connection ends after 5 MB"
  front 1 cut=5000000
  image=$(behind 1)/large:1
  run_by_hand cut-docker docker_pull "$image" && note cut_docker_ended=1 || note cut_docker_ended=0
  note "cut_docker_bytes=$(sent_by 1)"
  forget_images
  fetch cut "$image" --store "$work/cut-store"
  note "cut_bytes=$(sent_by 1)"
  note "cut_size=$(blob_bytes "$work/cut-store")"
fi
if wanted stall; then
  say "stall: the first mirror stalls in the middle of a blob"
  front 2 stall=4000000
  [ -e "$work/front-0" ] || wanted second upgrade || front 0
  sent_by 0 >/dev/null
  fetch stall "$(behind 0)/image-2:1" --store "$work/stall-store" --mirror "127.0.0.1:$BENCH_PORT=http://127.0.0.1:$((BENCH_PORT + 2))"
  # Stalled responses are counted once their connections end.
  note "stall_second_bytes=$(sent_by 0)"
  note "stall_size=$(blob_bytes "$work/stall-store")"
fi
if wanted slow; then
  say "slow: 4 MiB/s on each connection"
  front 3 rate=4194304
  image=$(behind 3)/large:1
  run_by_hand slow-docker docker_pull "$image"
  forget_images
  fetch slow "$image" --store "$work/slow-store"
fi
if wanted limits; then
  say "limits: waits for its end"
  wait "$limits" || give_up "limits: milvusctl failed"
  cat "$work/limits" >>"$results"
  for run in 1 2; do
    log=$work/front-4
    [ "$run" = 2 ] || log=$log.first
    note "limits_refused_$run=$(grep -c '"status": 429' "$log" || true)"
    note "limits_asked_$run=$(wc -l <"$log")"
  done
  note "limits_images=$(planned_images | wc -l)"
  # Manifests are blobs in the store too, but their requests do not count as blobs'.
  note "limits_blobs=$(grep '"status": 200' "$work/front-4.first" | grep -o '/blobs/[^"]*' | sort -u | wc -l)"
fi
if wanted pods; then
  say "pods: find and plan among many"
  for count in 5000 50000; do
    python3 many_pods.py "$count" "$MILVUSCTL" "$results" ../fixtures
  done
fi
