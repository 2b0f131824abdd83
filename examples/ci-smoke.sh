#!/usr/bin/env bash
# Milvus for a CI pipeline: deploys it, runs the smoke test and your tests, and deletes it.
#
#   examples/ci-smoke.sh [COMMAND ARGUMENT...]     your tests; MILVUS_URI is the address of Milvus
#
# Exits with the code of milvusctl or of your tests. On failure, leaves diagnosis.tar.gz in the current
# folder. Configure milvusctl through its environment:
#   MILVUSCTL_NAME=ci-1 MILVUSCTL_TIMEOUT=25m MILVUSCTL_MIRROR=docker.io=mirror.example/docker.io
# or pass arguments for `up` in UP_ARGUMENTS. up.json and smoke.json contain the duration of each step.
set -euo pipefail

: "${MILVUSCTL:=milvusctl}"
: "${MILVUSCTL_NAME:=milvus-ci}"
: "${MILVUSCTL_TIMEOUT:=15m}"
: "${DIAGNOSIS:=diagnosis.tar.gz}"
export MILVUSCTL_NAME MILVUSCTL_NO_PROGRESS=true
read -ra up_arguments <<<"${UP_ARGUMENTS:---small}"

finish() {
  local status=$?
  trap - EXIT INT TERM
  if [ "$status" -ne 0 ]; then
    "$MILVUSCTL" status || true
    "$MILVUSCTL" diagnose -o "$DIAGNOSIS" --force || true
  fi
  "$MILVUSCTL" down --yes || [ "$status" -ne 0 ] || status=1
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A `--timeout` among the arguments beats the variable.
MILVUSCTL_TIMEOUT=$MILVUSCTL_TIMEOUT "$MILVUSCTL" up "${up_arguments[@]}" -o json >up.json
"$MILVUSCTL" smoke -o json | tee smoke.json

if [ $# -gt 0 ]; then
  MILVUS_URI=$(sed -n 's/^ *"milvus": "\(http[^"]*\)",\{0,1\}$/\1/p' up.json | head -n 1)
  MILVUS_URI=$MILVUS_URI "$@"
fi
