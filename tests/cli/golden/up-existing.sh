#!/bin/sh
set -eu

helm upgrade --install milvus-operator milvus-operator --kube-context theirs --namespace milvus-operator --create-namespace --description 'installed by milvusctl' --repo https://zilliztech.github.io/milvus-operator/ --version 1.3.8 --labels app.kubernetes.io/managed-by=milvusctl --values - <<'EOF'
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

kubectl --context theirs apply --server-side --force-conflicts --field-manager milvusctl --filename - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: vectors
EOF
# the storage's Secret, without its keys:
# {"apiVersion":"v1","kind":"Secret","metadata":{"labels":{"app.kubernetes.io/managed-by":"milvusctl"},"name":"my-release-storage","namespace":"vectors"},"stringData":{"accesskey":"***","secretkey":"***"},"type":"Opaque"}
kubectl --context theirs wait --for=condition=Established customresourcedefinitions/milvuses.milvus.io --timeout=30s
kubectl --context theirs apply --server-side --force-conflicts --field-manager milvusctl --filename - <<'EOF'
apiVersion: milvus.io/v1beta1
kind: Milvus
metadata:
  labels:
    app.kubernetes.io/managed-by: milvusctl
  name: my-release
  namespace: vectors
spec:
  components: {}
  config:
    minio:
      bucketName: b
      rootPath: p
      useSSL: true
  dependencies:
    etcd:
      inCluster:
        deletionPolicy: Delete
        pvcDeletion: false
    pulsar:
      inCluster:
        deletionPolicy: Delete
        pvcDeletion: false
    storage:
      endpoint: "s3.example.com:443"
      external: true
      secretRef: my-release-storage
      type: S3
  mode: cluster
EOF

kubectl --context theirs apply --server-side --force-conflicts --field-manager milvusctl --filename - <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata:
  name: my-release-attu
  namespace: vectors
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
              value: "my-release-milvus.vectors:19530"
          readinessProbe:
            tcpSocket:
              port: attu
            periodSeconds: 5
---
apiVersion: v1
kind: Service
metadata:
  name: my-release-attu
  namespace: vectors
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

kubectl --context theirs --namespace vectors wait --for=condition=MilvusReady milvuses.v1beta1.milvus.io/my-release --timeout=1200s
