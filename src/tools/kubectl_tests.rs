use super::*;
use crate::process::ScriptedRunner;

#[test]
fn a_missing_object_is_none() {
    let runner = ScriptedRunner::default().fail(
        "kubectl --context kind-c get milvus my-release --namespace default --output json",
        r#"Error from server (NotFound): milvuses.milvus.io "my-release" not found"#,
    );
    let found: Option<serde_json::Value> =
        Kubectl::new(Arc::new(runner), "kind-c", ClusterPatience::default())
            .find("milvus", "my-release", Some("default"))
            .unwrap();
    assert_eq!(found, None);
}

#[test]
fn a_cluster_that_does_not_answer_is_an_error() {
    let runner = ScriptedRunner::default().fail(
        "kubectl --context kind-c get nodes --output json",
        "The connection to the server 127.0.0.1:41235 was refused - did you specify the right host or port?",
    );
    let error = Kubectl::new(Arc::new(runner), "kind-c", ClusterPatience::default())
        .get::<serde_json::Value>(&["nodes"])
        .unwrap_err();
    assert!(is_unreachable(&error) && !is_absent(&error), "{error}");
}

#[test]
fn a_missing_context_is_an_unreachable_cluster() {
    // From kubectl 1.32, without and with a kubeconfig.
    for words in [
        "Error in configuration: context was not found for specified context: kind-c",
        "error: context \"kind-c\" does not exist",
    ] {
        let runner =
            ScriptedRunner::default().fail("kubectl --context kind-c get nodes --output json", words);
        let error = Kubectl::new(Arc::new(runner), "kind-c", ClusterPatience::default())
            .get::<serde_json::Value>(&["nodes"])
            .unwrap_err();
        assert!(is_unreachable(&error), "{error}");
    }
}

#[test]
fn only_the_exact_object_is_deleted() {
    let pod = Object {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: "n".into(),
        name: "p".into(),
        uid: "u-1".into(),
    };
    let line = "kubectl --context kind-c delete --raw /api/v1/namespaces/n/pods/p --filename -";
    let kubectl = |runner| Kubectl::new(Arc::new(runner), "kind-c", ClusterPatience::default());
    let command = kubectl(ScriptedRunner::default()).delete_command(&pod);
    assert_eq!(command.to_string(), line);
    assert!(command.shown_input().unwrap().contains(r#""preconditions":{"uid":"u-1"}"#));
    let deleted = kubectl(ScriptedRunner::default().answer(line, "{}")).delete_exactly(&pod);
    assert_eq!(deleted.unwrap(), Deletion::BlobState);
    // From kubectl 1.32.3 and Kubernetes 1.20.2.
    for (words, outcome) in [
        ("Error from server (NotFound): pods \"p\" not found", Deletion::Gone),
        (
            "Error from server (Conflict): Operation cannot be fulfilled on Pod \"p\": the UID in the \
             precondition (u-1) does not match the UID in record (u-2). The object might have been deleted \
             and then recreated",
            Deletion::Another,
        ),
    ] {
        let runner = ScriptedRunner::default().fail(line, words);
        assert_eq!(kubectl(runner).delete_exactly(&pod).unwrap(), outcome, "{words}");
    }
}

#[test]
fn every_command_names_the_context() {
    let kubectl = Kubectl::new(Arc::new(ScriptedRunner::default()), "kind-c", ClusterPatience::default());
    assert!(kubectl.apply_command().to_string().starts_with("kubectl --context kind-c apply"));
}
