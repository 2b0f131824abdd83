#!/bin/sh
set -eu

kind create cluster --name milvus-cluster --config - <<'EOF'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: milvus-cluster
networking:
  serviceSubnet: 10.0.0.0/16
containerdConfigPatches:
  - |
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
nodes:
  - role: control-plane
    extraPortMappings:
      - containerPort: 31530
        hostPort: 29531
        listenAddress: "127.0.0.1"
        protocol: TCP
      - containerPort: 31000
        hostPort: 29100
        listenAddress: "127.0.0.1"
        protocol: TCP
  - role: worker
  - role: worker
EOF

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
docker save --platform linux/amd64 zilliz/attu:v2.5.12 | docker exec -i milvus-cluster-worker ctr --namespace k8s.io images import -
docker save --platform linux/amd64 zilliz/attu:v2.5.12 | docker exec -i milvus-cluster-worker2 ctr --namespace k8s.io images import -
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

kubectl --context kind-milvus-cluster apply --server-side --force-conflicts --field-manager milvusctl --filename - <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata:
  name: my-release-attu
  namespace: default
  labels:
    app.kubernetes.io/name: attu
    app.kubernetes.io/instance: my-release
    app.kubernetes.io/managed-by: milvusctl
spec:
  replicas: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: attu
      app.kubernetes.io/instance: my-release
  template:
    metadata:
      labels:
        app.kubernetes.io/name: attu
        app.kubernetes.io/instance: my-release
        app.kubernetes.io/managed-by: milvusctl
    spec:
      containers:
        - name: attu
          image: "zilliz/attu:v2.5.12"
          imagePullPolicy: IfNotPresent
          ports:
            - name: attu
              containerPort: 3000
              protocol: TCP
          env:
            - name: MILVUS_URL
              value: "my-release-milvus.default:19530"
          readinessProbe:
            tcpSocket:
              port: attu
            periodSeconds: 5
---
apiVersion: v1
kind: Service
metadata:
  name: my-release-attu
  namespace: default
  labels:
    app.kubernetes.io/name: attu
    app.kubernetes.io/instance: my-release
    app.kubernetes.io/managed-by: milvusctl
spec:
  type: ClusterIP
  selector:
    app.kubernetes.io/name: attu
    app.kubernetes.io/instance: my-release
  ports:
    - name: attu
      protocol: TCP
      port: 3000
      targetPort: attu
EOF

kubectl --context kind-milvus-cluster --namespace default wait --for=condition=MilvusReady milvuses.v1beta1.milvus.io/my-release --timeout=1200s

milvusctl expose attu --nodeport 31000 --name milvus-cluster

milvusctl expose milvus --nodeport 31530 --name milvus-cluster

milvusctl smoke --name milvus-cluster
