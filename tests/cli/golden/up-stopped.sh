#!/bin/sh
set -eu

docker start milvus-cluster-control-plane
kind export kubeconfig --name milvus-cluster

docker exec -i milvus-cluster-control-plane sh -c 'file=$1/hosts.toml
mkdir -p "$1" && read -r mark && text=$(cat) || exit 1
if [ -e "$file" ] && [ "$(head -n 1 "$file")" != "$mark" ]; then
  [ "$(cat "$file")" = "$text" ] && exit 0
  echo "$file exists and was not written by milvusctl" >&2
  exit 1
fi
printf "%s\n" "$mark" "$text" > "$file"' sh /etc/containerd/certs.d/docker.io <<'EOF'
# Written by milvusctl, which writes it anew; without this line it leaves the file alone.
server = "https://registry-1.docker.io"

[host."http://172.17.0.1:5000"]
  capabilities = ["pull", "resolve"]
EOF
docker exec -i milvus-cluster-control-plane sh -c 'file=$1/hosts.toml
mkdir -p "$1" && read -r mark && text=$(cat) || exit 1
if [ -e "$file" ] && [ "$(head -n 1 "$file")" != "$mark" ]; then
  [ "$(cat "$file")" = "$text" ] && exit 0
  echo "$file exists and was not written by milvusctl" >&2
  exit 1
fi
printf "%s\n" "$mark" "$text" > "$file"' sh /etc/containerd/certs.d/quay.io <<'EOF'
# Written by milvusctl, which writes it anew; without this line it leaves the file alone.
server = "https://quay.io"

[host."https://quay.example.com"]
  capabilities = ["pull", "resolve"]
EOF
docker exec -i milvus-cluster-worker sh -c 'file=$1/hosts.toml
mkdir -p "$1" && read -r mark && text=$(cat) || exit 1
if [ -e "$file" ] && [ "$(head -n 1 "$file")" != "$mark" ]; then
  [ "$(cat "$file")" = "$text" ] && exit 0
  echo "$file exists and was not written by milvusctl" >&2
  exit 1
fi
printf "%s\n" "$mark" "$text" > "$file"' sh /etc/containerd/certs.d/docker.io <<'EOF'
# Written by milvusctl, which writes it anew; without this line it leaves the file alone.
server = "https://registry-1.docker.io"

[host."http://172.17.0.1:5000"]
  capabilities = ["pull", "resolve"]
EOF
docker exec -i milvus-cluster-worker sh -c 'file=$1/hosts.toml
mkdir -p "$1" && read -r mark && text=$(cat) || exit 1
if [ -e "$file" ] && [ "$(head -n 1 "$file")" != "$mark" ]; then
  [ "$(cat "$file")" = "$text" ] && exit 0
  echo "$file exists and was not written by milvusctl" >&2
  exit 1
fi
printf "%s\n" "$mark" "$text" > "$file"' sh /etc/containerd/certs.d/quay.io <<'EOF'
# Written by milvusctl, which writes it anew; without this line it leaves the file alone.
server = "https://quay.io"

[host."https://quay.example.com"]
  capabilities = ["pull", "resolve"]
EOF
docker exec -i milvus-cluster-worker2 sh -c 'file=$1/hosts.toml
mkdir -p "$1" && read -r mark && text=$(cat) || exit 1
if [ -e "$file" ] && [ "$(head -n 1 "$file")" != "$mark" ]; then
  [ "$(cat "$file")" = "$text" ] && exit 0
  echo "$file exists and was not written by milvusctl" >&2
  exit 1
fi
printf "%s\n" "$mark" "$text" > "$file"' sh /etc/containerd/certs.d/docker.io <<'EOF'
# Written by milvusctl, which writes it anew; without this line it leaves the file alone.
server = "https://registry-1.docker.io"

[host."http://172.17.0.1:5000"]
  capabilities = ["pull", "resolve"]
EOF
docker exec -i milvus-cluster-worker2 sh -c 'file=$1/hosts.toml
mkdir -p "$1" && read -r mark && text=$(cat) || exit 1
if [ -e "$file" ] && [ "$(head -n 1 "$file")" != "$mark" ]; then
  [ "$(cat "$file")" = "$text" ] && exit 0
  echo "$file exists and was not written by milvusctl" >&2
  exit 1
fi
printf "%s\n" "$mark" "$text" > "$file"' sh /etc/containerd/certs.d/quay.io <<'EOF'
# Written by milvusctl, which writes it anew; without this line it leaves the file alone.
server = "https://quay.io"

[host."https://quay.example.com"]
  capabilities = ["pull", "resolve"]
EOF

# milvusctl loads these images into milvus-cluster-worker, milvus-cluster-worker2, each from the first place that has it:
#   milvusdb/milvus-operator:v1.3.8: 172.17.0.1:5000, docker.io, `docker pull`
#   milvusdb/etcd:3.5.25-r1: 172.17.0.1:5000, docker.io, `docker pull`
#   minio/minio:RELEASE.2024-12-18T13-15-44Z: 172.17.0.1:5000, docker.io, `docker pull`
#   milvusdb/milvus:v2.6.11: 172.17.0.1:5000, docker.io, `docker pull`
milvusctl images load --name milvus-cluster --mirror docker.io=http://172.17.0.1:5000 --mirror quay.io=quay.example.com --mirror-preset none milvusdb/milvus-operator:v1.3.8 milvusdb/etcd:3.5.25-r1 minio/minio:RELEASE.2024-12-18T13-15-44Z milvusdb/milvus:v2.6.11

helm upgrade --install milvus-operator milvus-operator --kube-context kind-milvus-cluster --namespace milvus-operator --create-namespace --description 'installed by milvusctl' --repo https://zilliztech.github.io/milvus-operator/ --version 1.3.8 --labels app.kubernetes.io/managed-by=milvusctl --values - <<'EOF'
installCRDs: true
replicaCount: 1
resources:
  limits:
    cpu: "1"
    memory: "1Gi"
  requests:
    cpu: "100m"
    memory: "100Mi"
EOF

kubectl --context kind-milvus-cluster wait --for=condition=Established customresourcedefinitions/milvuses.milvus.io --timeout=30s
kubectl --context kind-milvus-cluster apply --server-side --force-conflicts --field-manager milvusctl --filename - <<'EOF'
apiVersion: milvus.io/v1beta1
kind: Milvus
metadata:
  labels:
    app.kubernetes.io/managed-by: milvusctl
  name: my-release
  namespace: default
spec:
  components: {}
  config: {}
  dependencies:
    etcd:
      inCluster:
        deletionPolicy: Delete
        pvcDeletion: false
    storage:
      inCluster:
        deletionPolicy: Delete
        pvcDeletion: false
        values:
          resources:
            requests:
              memory: "256Mi"
  mode: standalone
EOF

kubectl --context kind-milvus-cluster --namespace default wait --for=condition=MilvusReady milvuses.v1beta1.milvus.io/my-release --timeout=1200s

milvusctl expose milvus --nodeport 31530 --name milvus-cluster
