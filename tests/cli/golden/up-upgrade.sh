#!/bin/sh
set -eu

# milvusctl loads these images into milvus-cluster-control-plane, each from the first place that has it:
#   milvusdb/milvus-operator:v1.3.8: docker.io, `docker pull`
#   milvusdb/milvus:v2.5.16: docker.io, `docker pull`
#   milvusdb/milvus:v2.6.11: docker.io, `docker pull`
milvusctl images load --name milvus-cluster --mirror-preset none milvusdb/milvus-operator:v1.3.8 milvusdb/milvus:v2.5.16 milvusdb/milvus:v2.6.11

crds=$(helm show crds milvus-operator --repo https://zilliztech.github.io/milvus-operator/ --version 1.3.8)
[ -z "$crds" ] || printf '%s\n' "$crds" | kubectl --context kind-milvus-cluster apply --server-side --force-conflicts --field-manager milvusctl --filename -
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
kubectl --context kind-milvus-cluster --namespace default wait '--for=jsonpath={.status.currentImage}=milvusdb/milvus:v2.4.17' milvuses.v1beta1.milvus.io/my-release --timeout=1200s
kubectl --context kind-milvus-cluster apply --server-side --force-conflicts --field-manager milvusctl --filename - <<'EOF'
apiVersion: milvus.io/v1beta1
kind: Milvus
metadata:
  annotations:
    milvusctl/operator-version: "1.1.4"
  labels:
    app.kubernetes.io/managed-by: milvusctl
  name: my-release
  namespace: default
spec:
  components:
    image: "milvusdb/milvus:v2.5.16"
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

kubectl --context kind-milvus-cluster --namespace default wait '--for=jsonpath={.status.currentImage}=milvusdb/milvus:v2.5.16' milvuses.v1beta1.milvus.io/my-release --timeout=1200s

kubectl --context kind-milvus-cluster wait --for=condition=Established customresourcedefinitions/milvuses.milvus.io --timeout=30s
kubectl --context kind-milvus-cluster apply --server-side --force-conflicts --field-manager milvusctl --filename - <<'EOF'
apiVersion: milvus.io/v1beta1
kind: Milvus
metadata:
  annotations:
    milvusctl/operator-version: "1.3.8"
  labels:
    app.kubernetes.io/managed-by: milvusctl
  name: my-release
  namespace: default
spec:
  components:
    image: "milvusdb/milvus:v2.6.11"
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

kubectl --context kind-milvus-cluster --namespace default wait '--for=jsonpath={.status.currentImage}=milvusdb/milvus:v2.6.11' milvuses.v1beta1.milvus.io/my-release --timeout=1200s

milvusctl expose milvus --nodeport 31530 --name milvus-cluster
