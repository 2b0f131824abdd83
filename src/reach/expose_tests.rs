use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use super::*;
use crate::error::{exit_of, hints_of};
use crate::process::ScriptedRunner;
use crate::reach::Target;

const NODES: &str = "docker ps --all --no-trunc --filter label=io.x-k8s.kind.cluster=milvus-cluster --format \
                     '{{.Names}}|{{.Label \"io.x-k8s.kind.role\"}}|{{.State}}|{{.Image}}|{{.Ports}}'";
const SERVICES: &str = "kubectl --context kind-milvus-cluster get services --all-namespaces --output json";
const PODS: &str =
    "kubectl --context kind-milvus-cluster get pods --namespace default --selector app=attu --output json";
const APPLY: &str = "kubectl --context kind-milvus-cluster apply --server-side --force-conflicts \
                     --field-manager milvusctl --filename -";
const READY: &str = r#"{"items": [{"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}]}"#;

fn context(runner: &Arc<ScriptedRunner>) -> Context {
    Context::for_test(runner.clone())
}

fn attu() -> serde_json::Value {
    serde_json::json!({
        "metadata": {"namespace": "default", "name": "my-release-attu"},
        "spec": {"type": "ClusterIP", "selector": {"app": "attu"},
                 "ports": [{"name": "attu", "port": 3000, "targetPort": "attu", "protocol": "TCP"}]},
    })
}

fn services(more: Option<serde_json::Value>) -> String {
    let items: Vec<_> = [attu()].into_iter().chain(more).collect();
    serde_json::json!({"items": items}).to_string()
}

fn nodes(host: u16) -> String {
    format!("milvus-cluster-control-plane|control-plane|running|n|127.0.0.1:{host}->31000/tcp\n")
}

fn run(runner: ScriptedRunner, timeout: Duration) -> (anyhow::Result<Exposed>, Vec<String>) {
    let runner = Arc::new(runner);
    let wanted = WantedPort { target: &Target::Attu, node_port: 31000, service_port: None };
    let result = expose(&context(&runner), wanted, timeout, &mut |_| {});
    (result, runner.asked())
}

/// Serves a page to one client, on a free port.
fn serve_a_page() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        _ = client.read(&mut [0; 1024]);
        _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    port
}

#[test]
fn a_target_is_applied_once_and_checked() {
    let port = serve_a_page();
    let runner = ScriptedRunner::default()
        .answer(NODES, &nodes(port))
        .answer(SERVICES, &services(None))
        .answer(APPLY, "")
        .answer(PODS, READY);
    let (result, asked) = run(runner, Duration::from_secs(10));
    let expected = Exposed {
        service: "default/my-release-attu-nodeport".into(),
        node_port: 31000,
        url: format!("http://127.0.0.1:{port}"),
        answered: true,
        changed: true,
        problem: None,
    };
    assert_eq!(
        (result.unwrap(), asked),
        (expected, [NODES, SERVICES, APPLY, PODS].map(str::to_owned).to_vec())
    );
}

#[test]
fn a_second_run_applies_nothing() {
    let mut own = attu();
    own["metadata"]["name"] = "my-release-attu-nodeport".into();
    own["metadata"]["labels"] = serde_json::json!({"app.kubernetes.io/managed-by": "milvusctl"});
    own["spec"]["type"] = "NodePort".into();
    own["spec"]["ports"][0]["nodePort"] = 31000.into();
    let runner = ScriptedRunner::default()
        .answer(NODES, &nodes(serve_a_page()))
        .answer(SERVICES, &services(Some(own)))
        .answer(PODS, READY);
    let (result, asked) = run(runner, Duration::from_secs(10));
    assert!(!result.unwrap().changed);
    assert_eq!(asked, [NODES, SERVICES, PODS]);
}

#[test]
fn a_taken_port_is_refused_before_anything_is_applied() {
    let mut other = attu();
    other["metadata"]["name"] = "shop".into();
    other["spec"]["ports"][0]["nodePort"] = 31000.into();
    let runner =
        ScriptedRunner::default().answer(NODES, &nodes(31000)).answer(SERVICES, &services(Some(other)));
    let (result, asked) = run(runner, Duration::ZERO);
    let error = result.unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not expose `attu`: node port 31000 is taken by Service `default/shop`"
    );
    assert_eq!((exit_of(&error), asked), (Exit::Usage, vec![NODES.to_owned(), SERVICES.to_owned()]));
}

#[test]
fn an_unmapped_port_is_refused_with_alternatives() {
    let node = "milvus-cluster-control-plane|control-plane|running|n|127.0.0.1:41235->6443/tcp\n";
    let runner = ScriptedRunner::default().answer(NODES, node).answer(SERVICES, &services(None));
    let error = run(runner, Duration::ZERO).0.unwrap_err();
    assert_eq!(exit_of(&error), Exit::Usage);
    assert_eq!(
        hints_of(&error),
        [
            "forward a local port instead, which needs no node port: `milvusctl forward attu`",
            "ports can only be mapped when a cluster is created: `milvusctl down`, then `milvusctl up --port 31000:31000`",
        ]
    );
}

#[test]
fn somebody_elses_service_is_never_touched() {
    let mut other = attu();
    other["metadata"]["name"] = "my-release-attu-nodeport".into();
    let runner =
        ScriptedRunner::default().answer(NODES, &nodes(31000)).answer(SERVICES, &services(Some(other)));
    let error = run(runner, Duration::ZERO).0.unwrap_err();
    assert_eq!(exit_of(&error), Exit::Failed);
    assert!(error.to_string().contains("was not created by milvusctl"), "{error}");
}

#[test]
fn a_missing_cluster_is_reported() {
    let runner = ScriptedRunner::default().answer(NODES, "").answer("kind get clusters", "milvus-clusters\n");
    let error = run(runner, Duration::ZERO).0.unwrap_err();
    assert_eq!(error.to_string(), "there is no kind cluster `milvus-cluster`");
    let hint = "there is no kind cluster `milvus-cluster`; did you mean `--name milvus-clusters`?";
    assert_eq!(hints_of(&error), [hint]);
}

#[test]
fn pods_that_are_not_ready_in_time_exit_with_5() {
    let runner = ScriptedRunner::default()
        .answer(NODES, &nodes(31000))
        .answer(SERVICES, &services(None))
        .answer(APPLY, "")
        .answer(PODS, r#"{"items": []}"#);
    let error = run(runner, Duration::ZERO).0.unwrap_err();
    assert_eq!(exit_of(&error), Exit::TimedOut);
    assert!(error.to_string().ends_with("it has no pods"), "{error}");
}

#[test]
fn a_url_that_does_not_answer_is_an_outcome() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let runner = ScriptedRunner::default()
        .answer(NODES, &nodes(port))
        .answer(SERVICES, &services(None))
        .answer(APPLY, "")
        .answer(PODS, READY);
    let exposed = run(runner, Duration::ZERO).0.unwrap();
    assert!(!exposed.answered && exposed.problem.is_some(), "{exposed:?}");
}
