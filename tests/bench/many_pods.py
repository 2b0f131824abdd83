#!/usr/bin/env python3
"""Measures finding and planning with many pods, compared to kubectl printing the same pods.

many_pods.py COUNT MILVUSCTL RESULTS FIXTURES

Grows a recorded list of pods to COUNT and serves it in pages, like an API server. The answers of nodes and engine are
recorded too and come from a fake `docker`, so only kubectl and milvusctl take time.
"""

import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

HERE = pathlib.Path(__file__).resolve().parent
CLUSTER = "milvusctl-test-images"  # the recorded one

DOCKER = """#!/bin/sh
case "$*" in
  version*) echo "20.10.24 1.41 1.41" ;;
  info*) cat "$FIXTURES/docker-info-20.10.24.json" ;;
  "image inspect"*) shift 2; echo "[]"; for name; do echo "Error: No such image: $name" >&2; done; exit 1 ;;
  *"images check"*) cat "$FIXTURES/ctr-images-check.ctr-1.6.20.txt" ;;
  ps*) ;;
  *) echo "unexpected: docker $*" >&2; exit 1 ;;
esac
"""

DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]},
            {"name": "nodes", "singularName": "node", "namespaced": False, "kind": "Node", "verbs": ["get", "list"]},
        ],
    },
    "/version": {"major": "1", "minor": "20", "gitVersion": "v1.20.2"},
}


def grown(recorded, count):
    """COUNT pods as bytes: the recorded ones, repeated under new names."""
    pods = []
    for n in range(count):
        pod = copy.deepcopy(recorded[n % len(recorded)])
        pod["metadata"]["name"] += f"-{n}"
        pods.append(json.dumps(pod).encode())
    return pods


def handler(pods, nodes):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, body, status=200):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            url = urlparse(self.path)
            asked = parse_qs(url.query)
            if url.path in DISCOVERY:
                self.answer(json.dumps(DISCOVERY[url.path]).encode())
            elif url.path == "/api/v1/pods":
                start = int(asked.get("continue", ["0"])[0])
                end = min(start + int(asked.get("limit", [len(pods)])[0]), len(pods))
                more = {"continue": str(end)} if end < len(pods) else {}
                head = json.dumps({"resourceVersion": "1", **more}).encode()
                body = b",".join(pods[start:end])
                self.answer(b'{"kind":"PodList","apiVersion":"v1","metadata":' + head + b',"items":[' + body + b"]}")
            elif url.path == "/api/v1/nodes":
                self.answer(nodes)
            else:
                self.answer(b'{"kind":"Status","status":"Failure","reason":"NotFound","code":404}', 404)

        def log_message(self, *_):
            pass

    return Handler


def kubeconfig(port):
    name = f"kind-{CLUSTER}"
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": {}}],
    })


def main():
    count, milvusctl, results, fixtures = sys.argv[1:]
    fixtures = pathlib.Path(fixtures).resolve()
    recorded = json.loads((fixtures / "pods-waiting.kubectl-1.32-k8s-1.20.json").read_text())["items"]
    nodes = (fixtures / "nodes.kubectl-1.32-k8s-1.20.json").read_text()
    nodes = json.dumps({**json.loads(nodes), "kind": "NodeList"}).encode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(grown(recorded, int(count)), nodes))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        docker = pathlib.Path(folder, "docker")
        docker.write_text(DOCKER)
        docker.chmod(0o755)
        config = pathlib.Path(folder, "kubeconfig")
        config.write_text(kubeconfig(server.server_port))
        environment = {
            **os.environ,
            "KUBECONFIG": str(config),
            "FIXTURES": str(fixtures),
            "PATH": f"{folder}:{os.environ['PATH']}",
            "HOME": folder,  # kubectl's discovery cache
        }
        kubectl = ["kubectl", "--context", f"kind-{CLUSTER}", "get", "pods", "--all-namespaces", "-o", "json"]
        find_and_plan = [milvusctl, "load-missing-images", "--name", CLUSTER, "--dry-run", "--mirror-preset", "none"]
        # In turns, so that other load on the machine affects both alike.
        for turn in range(3):
            for name, command in [(f"kubectl-{count}-{turn}", kubectl), (f"plan-{count}-{turn}", find_and_plan)]:
                measure = [sys.executable, str(HERE / "measure.py"), results, name, "--", *command]
                subprocess.run(measure, env=environment, check=True)
    server.shutdown()


main()
