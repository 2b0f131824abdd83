#!/bin/sh
set -eu

docker pull --platform linux/amd64 milvusdb/milvus-operator:v1.3.8
docker tag milvusdb/milvus-operator:v1.3.8 registry.example.com/milvus/milvusdb/milvus-operator:v1.3.8
docker push -q registry.example.com/milvus/milvusdb/milvus-operator:v1.3.8
docker rmi registry.example.com/milvus/milvusdb/milvus-operator:v1.3.8
docker pull --platform linux/amd64 milvusdb/etcd:3.5.25-r1
docker tag milvusdb/etcd:3.5.25-r1 registry.example.com/milvus/milvusdb/etcd:3.5.25-r1
docker push -q registry.example.com/milvus/milvusdb/etcd:3.5.25-r1
docker rmi registry.example.com/milvus/milvusdb/etcd:3.5.25-r1
docker pull --platform linux/amd64 minio/minio:RELEASE.2024-12-18T13-15-44Z
docker tag minio/minio:RELEASE.2024-12-18T13-15-44Z registry.example.com/milvus/minio/minio:RELEASE.2024-12-18T13-15-44Z
docker push -q registry.example.com/milvus/minio/minio:RELEASE.2024-12-18T13-15-44Z
docker rmi registry.example.com/milvus/minio/minio:RELEASE.2024-12-18T13-15-44Z
docker pull --platform linux/amd64 milvusdb/milvus:v2.6.11
docker tag milvusdb/milvus:v2.6.11 registry.example.com/milvus/milvusdb/milvus:v2.6.11
docker push -q registry.example.com/milvus/milvusdb/milvus:v2.6.11
docker rmi registry.example.com/milvus/milvusdb/milvus:v2.6.11

helm upgrade --install milvus-operator milvus-operator --kube-context theirs --namespace milvus-operator --create-namespace --description 'installed by milvusctl' --repo https://zilliztech.github.io/milvus-operator/ --version 1.3.8 --labels app.kubernetes.io/managed-by=milvusctl --values - <<'EOF'
image:
  repository: registry.example.com/milvus/milvusdb/milvus-operator
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

kubectl --context theirs wait --for=condition=Established customresourcedefinitions/milvuses.milvus.io --timeout=30s
kubectl --context theirs apply --server-side --force-conflicts --field-manager milvusctl --filename - <<'EOF'
apiVersion: milvus.io/v1beta1
kind: Milvus
metadata:
  labels:
    app.kubernetes.io/managed-by: milvusctl
  name: my-release
  namespace: default
spec:
  components:
    image: "registry.example.com/milvus/milvusdb/milvus:v2.6.11"
  config: {}
  dependencies:
    etcd:
      inCluster:
        deletionPolicy: Delete
        pvcDeletion: false
        values:
          image:
            registry: registry.example.com/milvus
            repository: milvusdb/etcd
    storage:
      inCluster:
        deletionPolicy: Delete
        pvcDeletion: false
        values:
          image:
            repository: registry.example.com/milvus/minio/minio
  mode: standalone
EOF

kubectl --context theirs --namespace default wait --for=condition=MilvusReady milvuses.v1beta1.milvus.io/my-release --timeout=1200s

milvusctl smoke --context theirs
