#!/usr/bin/env bash
# Measures how long images take from a registry into the nodes of a kind cluster, by hand and with milvusctl.
#
# tests/bench/load.sh [RUN...]    all runs, or some of: a b c again upgrade pods
#
#   a        the article's loop: docker pull and kind load docker-image, one image after the other
#   b        all pulls, then one kind load docker-image with all images
#   c        milvusctl load-missing-images
#   again    the same with nothing to do
#   upgrade  an image of which one layer is new: pull and kind load, then milvusctl
#   pods     find and plan with 5,000 and 50,000 pods, beside kubectl printing them
#
# One control plane and three workers; one pod waits for each image, spread over the workers. Before each run the
# images are taken from nodes and engine. Every figure of a report comes from one run of this script.
# Needs docker, kind, kubectl, python3, a registry from which the engine pulls without TLS, and a quiet machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

: "${MILVUSCTL:=../../target/release/milvusctl}"
: "${BENCH_REGISTRY:=127.0.0.1:5000}"   # loopback: the engine pulls from it, the nodes cannot
: "${BENCH_CLUSTER:=milvusctl-test-bench}"
: "${BENCH_IMAGES:=12}" "${BENCH_MIB:=64}" "${BENCH_SHARED_MIB:=16}"
: "${BENCH_KIND_NODES:=all}"            # all: as one types it; workers: the nodes that milvusctl loads
: "${BENCH_BASE:=busybox:1.36}"
: "${BENCH_KEEP:=}"                     # not empty: the cluster stays

runs=("$@")
[ $# -gt 0 ] || runs=(a b c again upgrade pods)
prefix=$BENCH_REGISTRY/milvusctl-bench
work=$(mktemp -d)
made=
results=$work/results
export KUBECONFIG=$work/kubeconfig

say() { printf '%s\n' "$*" >&2; }
give_up() { say "load.sh: $*"; exit 1; }
wanted() { [[ " ${runs[*]} " == *" $1 "* ]]; }
name() { echo "$prefix/image-$1:${2:-1}"; }
names() { local n; for n in $(seq "$BENCH_IMAGES"); do name "$n"; done; }
measure() { python3 measure.py "$results" "$@"; }
kube() { kubectl --context "kind-$BENCH_CLUSTER" "$@"; }
nodes() { kind get nodes --name "$BENCH_CLUSTER" | sort; }
workers() { nodes | grep worker; }

finish() {
  local status=$?
  trap - EXIT INT TERM
  # What was measured before something failed is told all the same.
  if [ -e "$results" ]; then python3 report.py "$results" "$work/notes" "$BENCH_KIND_NODES" || status=1; fi
  if [ -n "$made" ] && [ -z "$BENCH_KEEP" ]; then kind delete cluster --name "$BENCH_CLUSTER" >&2 || true; fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- images and cluster ---------------------------------------------------------------------------------------

random_file() { head -c "$(($1 * 1048576))" /dev/urandom >"$2"; }

build() { # build NAME BASE MIB: one layer of random bytes over BASE, pushed, and taken from the engine again
  local context=$work/build
  mkdir -p "$context"
  random_file "$3" "$context/data-$3"
  printf 'FROM %s\nCOPY data-%s /data-%s-%s\n' "$2" "$3" "$3" "$RANDOM" >"$context/Dockerfile"
  DOCKER_BUILDKIT=0 docker build --quiet --tag "$1" "$context" >/dev/null
  docker push --quiet "$1" >/dev/null
  rm -rf "$context"
}

make_images() {
  # Sizes stand in the tag of the base, so other sizes make other images.
  local mark=$prefix/base:$BENCH_IMAGES-$BENCH_MIB-$BENCH_SHARED_MIB n
  if docker pull --quiet "$mark" >/dev/null 2>&1; then docker rmi "$mark" >/dev/null; return; fi
  say "making $BENCH_IMAGES images of $BENCH_MIB MiB over a shared layer of $BENCH_SHARED_MIB MiB"
  build "$prefix/shared:1" "$BENCH_BASE" "$BENCH_SHARED_MIB"
  for n in $(seq "$BENCH_IMAGES"); do build "$(name "$n")" "$prefix/shared:1" "$BENCH_MIB"; done
  for n in 1 2; do build "$(name "$n" 2)" "$(name "$n")" 4; done
  docker tag "$prefix/shared:1" "$mark"
  docker push --quiet "$mark" >/dev/null
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

# Takes the images away everywhere. containerd's CRI plugin gives each a second name, which keeps the content.
clean() {
  kube delete pods --all --now --wait >/dev/null
  local node
  for node in $(nodes); do
    docker exec -i "$node" bash -s -- "$prefix" <<'NODE'
set -eu
list() { ctr -n k8s.io images ls | tail -n +2; }
digests=$(list | awk -v prefix="$1/" 'index($1, prefix) == 1 { print $3 }' | sort -u)
for digest in $digests; do
  config=$(ctr -n k8s.io content get "$digest" | grep -o '"config":{[^}]*' | grep -o 'sha256:[0-9a-f]*' || true)
  list | awk -v digest="$digest" -v config="$config" '$3 == digest || $1 == config { print $1 }' |
    xargs -r ctr -n k8s.io images rm --sync >/dev/null
done
NODE
    if docker exec "$node" ctr -n k8s.io images ls -q | grep -q "^$prefix/"; then
      give_up "$node still has images of the last run"
    fi
  done
  docker images --format '{{.Repository}}:{{.Tag}}' --filter "reference=$prefix/*" | xargs -r docker rmi >/dev/null
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
    --mirror-preset none -o json
}

archive_bytes() { # what kind reads from the engine for each image, and sends to each node
  local image sum=0
  for image in "$@"; do sum=$((sum + $(docker save "$image" | wc -c))); done
  echo "$sum"
}

note() { printf '%s\n' "$1" >>"$work/notes"; }

mapfile -t all_images < <(names)
mapfile -t numbers < <(seq "$BENCH_IMAGES")
[ -x "$MILVUSCTL" ] || give_up "there is no $MILVUSCTL: run \`cargo build --release\`, or set MILVUSCTL"

if wanted a || wanted b || wanted c || wanted again || wanted upgrade; then
  make_images
  make_cluster
fi

if wanted a; then
  say "a: pull and load, one image after the other"
  clean; start_pods 1 "${numbers[@]}"
  run_by_hand a by_hand_one_by_one "${all_images[@]}"
  note "kind_bytes=$(archive_bytes "${all_images[@]}")"
fi
if wanted b; then
  say "b: all pulls, one load"
  clean; start_pods 1 "${numbers[@]}"
  run_by_hand b by_hand_at_once "${all_images[@]}"
  # One archive of all images holds the shared layer once.
  note "kind_at_once_bytes=$(docker save "${all_images[@]}" | wc -c)"
fi
if wanted c || wanted again || wanted upgrade; then
  say "c: milvusctl"
  clean; start_pods 1 "${numbers[@]}"
  run_milvusctl c
  wait_for "pods run" "$BENCH_IMAGES" Running
fi
if wanted again; then
  say "again: nothing to do"
  for n in 1 2 3 4 5; do run_milvusctl "again-$n"; done
fi
if wanted upgrade; then
  say "upgrade: one layer of 4 MiB is new"
  start_pods 2 1
  run_by_hand upgrade-by-hand by_hand_one_by_one "$(name 1 2)"
  note "upgrade_kind_bytes=$(archive_bytes "$(name 1 2)")"
  start_pods 2 2
  run_milvusctl upgrade
  docker image inspect "$(name 2 2)" >/dev/null
fi
if wanted pods; then
  say "pods: find and plan among many"
  for count in 5000 50000; do
    python3 many_pods.py "$count" "$MILVUSCTL" "$results" ../fixtures
  done
fi
