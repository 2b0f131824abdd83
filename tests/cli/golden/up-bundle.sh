#!/bin/sh
set -eu

# milvusctl reads these images from the bundle `b.tar` into its image store:
#   milvusdb/milvus-operator:v1.3.8
#   milvusdb/etcd:3.5.25-r1
#   minio/minio:RELEASE.2024-12-18T13-15-44Z
#   milvusdb/milvus:v2.6.11
#   zilliz/attu:v2.5.12
# the engine gets these; `docker load` also gives it the bundle's other images:
#   kindest/node:v1.34.0
docker load --input b.tar

# Meanwhile, Kubernetes's images in each node get the names by which kubeadm asks for them.
while kill -0 $$; do
  for node in $(docker ps --filter label=io.x-k8s.kind.cluster=milvus-cluster --format '{{.Names}}'); do
    docker exec "$node" sh -c 'held=$(ctr --namespace k8s.io images list --quiet) || exit
for image in $held; do
  case $image in *@*) continue ;; registry.k8s.io/* | k8s.gcr.io/*) ;; *) continue ;; esac
  for repository; do
    name=$repository/${image##*/}
    printf "%s\n" "$held" | grep -qxF "$name" || ctr --namespace k8s.io images tag "$image" "$name" >/dev/null
  done
done
ctr --namespace k8s.io images list --quiet && echo -- || exit
sed -n "s/^ *image: *//p" /etc/kubernetes/manifests/*.yaml 2>/dev/null || true' sh registry.aliyuncs.com/google_containers || true
  done
  sleep 1
done >/dev/null 2>&1 &
kind create cluster --name milvus-cluster --config - <<'EOF'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: milvus-cluster
networking:
  serviceSubnet: 10.0.0.0/16
# Without apiVersion: kind drops a patch silently when the node's kubeadm speaks another version.
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    imageRepository: registry.aliyuncs.com/google_containers
nodes:
  - role: control-plane
    image: "kindest/node:v1.34.0"
    extraPortMappings:
      - containerPort: 31530
        hostPort: 29531
        listenAddress: "127.0.0.1"
        protocol: TCP
      - containerPort: 31000
        hostPort: 29100
        listenAddress: "127.0.0.1"
        protocol: TCP
EOF
kill $!

# milvusctl loads these images into milvus-cluster-control-plane, each from the first place that has it:
#   milvusdb/milvus-operator:v1.3.8: the bundle `b.tar`
#   milvusdb/etcd:3.5.25-r1: the bundle `b.tar`
#   minio/minio:RELEASE.2024-12-18T13-15-44Z: the bundle `b.tar`
#   milvusdb/milvus:v2.6.11: the bundle `b.tar`
#   zilliz/attu:v2.5.12: the bundle `b.tar`
milvusctl images load --name milvus-cluster --input b.tar

tar --extract --file b.tar charts/milvus-operator-1.3.8.tgz
helm upgrade --install milvus-operator charts/milvus-operator-1.3.8.tgz --kube-context kind-milvus-cluster --namespace milvus-operator --create-namespace --description 'installed by milvusctl' --labels app.kubernetes.io/managed-by=milvusctl --values - <<'EOF'
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
  components:
    resources:
      requests:
        cpu: "100m"
        memory: "256Mi"
  config: {}
  dependencies:
    etcd:
      inCluster:
        deletionPolicy: Delete
        pvcDeletion: false
        values:
          replicaCount: 1
    storage:
      inCluster:
        deletionPolicy: Delete
        pvcDeletion: false
        values:
          mode: standalone
          persistence:
            size: "20Gi"
          resources:
            requests:
              memory: "100Mi"
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
