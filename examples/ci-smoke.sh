#!/usr/bin/env bash
# A Milvus for a pipeline: brings it up, proves that it answers, runs your tests against it, and takes it away.
#
#   examples/ci-smoke.sh [COMMAND ARGUMENT...]     your tests; MILVUS_URI says where Milvus answers
#
# Ends with milvusctl's exit code, or with that of your tests. When something fails, diagnosis.tar.gz is left
# in the present folder. What `milvusctl` should do otherwise is said in its environment:
#   MILVUSCTL_NAME=ci-1 MILVUSCTL_TIMEOUT=25m MILVUSCTL_MIRROR=docker.io=mirror.example/docker.io
# or with more arguments for `up` in UP_ARGUMENTS. How long each step took is in up.json and smoke.json.
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
