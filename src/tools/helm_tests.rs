use super::*;
use crate::process::ScriptedRunner;

#[test]
fn releases_are_parsed_with_their_chart_version() {
    let answer = r#"[{"name":"milvus-operator","namespace":"milvus-operator","revision":"1","updated":"2026-11-22 10:00:00 +0000 UTC","status":"deployed","chart":"milvus-operator-1.3.8","app_version":"1.3.8"}]"#;
    let runner = ScriptedRunner::default().answer(
        "helm list --kube-context kind-c --namespace milvus-operator --deployed --failed --pending --superseded \
         --uninstalled --uninstalling --output json",
        answer,
    );
    let releases = Helm::new(Arc::new(runner), "kind-c", ClusterPatience::default(), KnownVersion::default())
        .releases("milvus-operator")
        .unwrap();
    assert_eq!(releases.len(), 1);
    assert_eq!(releases[0].chart_version(), Some("1.3.8"));
    assert_eq!(releases[0].status, "deployed");
}

#[test]
fn helm_gets_the_flags_of_its_version() {
    let install = Install {
        release: "r".into(),
        namespace: "n".into(),
        chart: "c.tgz".into(),
        repo: None,
        version: None,
        values: "{}".into(),
        description: "by us".into(),
    };
    let label = " --labels app.kubernetes.io/managed-by=milvusctl --values -";
    for (version, flags) in [
        ("v3.12.3+g3a31588", " --values -".to_owned()),
        ("v3.17.2+gcc0bbbd", label.to_owned()),
        ("v4.3.1+gc0d08d0", format!("{label} --server-side=false")),
    ] {
        let line = "helm upgrade --install r c.tgz --kube-context kind-c --namespace n --create-namespace \
                    --description 'by us'";
        let runner = ScriptedRunner::default()
            .answer("helm version --short", version)
            .answer(&format!("{line}{flags}"), "");
        let runner = Arc::new(runner);
        let helm = Helm::new(runner.clone(), "kind-c", ClusterPatience::default(), KnownVersion::default());
        helm.install(&install).unwrap();
        helm.install(&install).unwrap();
        let asked = runner.asked();
        assert_eq!(asked.iter().filter(|line| *line == "helm version --short").count(), 1, "{asked:?}");
    }
}

#[test]
fn a_missing_chart_is_told_from_other_failures() {
    let failed = |words: &str| {
        let line = "helm uninstall r --kube-context kind-c --namespace n";
        let runner = Arc::new(ScriptedRunner::default().fail(line, words));
        let helm = Helm::new(runner, "kind-c", ClusterPatience::default(), KnownVersion::default());
        helm.uninstall("r", "n").unwrap_err()
    };
    // As helm 3.17.2 and 4.3.1 say it.
    for words in [
        "Error: looks like \"http://127.0.0.1:1\" is not a valid chart repository or cannot be reached: Get \"x\"",
        "Error: chart \"milvus-operator\" version \"9.9.9\" not found in http://127.0.0.1:8879 repository",
        "Error: repo mine not found",
    ] {
        assert!(is_without_chart(&failed(words)) && !is_taken(&failed(words)), "{words}");
    }
    let taken = failed("Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress");
    assert!(is_taken(&taken) && !is_without_chart(&taken));
    assert!(!is_without_chart(&failed("Error: Kubernetes cluster unreachable: dial tcp: i/o timeout")));
}

#[test]
fn uninstalling_a_missing_release_succeeds() {
    let line = "helm uninstall r --kube-context kind-c --namespace n";
    // As helm 3.17.2 and 4.3.1 say it.
    for (words, is_gone) in [
        ("Error: uninstall: Release not loaded: r: release: not found", true),
        ("Error: Kubernetes cluster unreachable", false),
    ] {
        let runner = ScriptedRunner::default().fail(line, words);
        let helm = Helm::new(Arc::new(runner), "kind-c", ClusterPatience::default(), KnownVersion::default());
        assert_eq!(helm.uninstall("r", "n").is_ok(), is_gone, "{words}");
    }
}

#[test]
fn an_install_names_its_context_and_keeps_values_out_of_the_arguments() {
    let install = Install {
        release: "r".into(),
        namespace: "n".into(),
        chart: "milvus-operator".into(),
        repo: Some("http://127.0.0.1:1/".into()),
        version: Some("1.3.8".into()),
        values: "{}".into(),
        description: "by us".into(),
    };
    let runner = ScriptedRunner::default().answer("helm version --short", "v3.17.2+gcc0bbbd");
    let helm = Helm::new(Arc::new(runner), "kind-c", ClusterPatience::default(), KnownVersion::default());
    assert_eq!(
        helm.install_command(&install).unwrap().to_script(),
        "helm upgrade --install r milvus-operator --kube-context kind-c --namespace n --create-namespace \
         --description 'by us' --repo http://127.0.0.1:1/ --version 1.3.8 --labels app.kubernetes.io/managed-by=milvusctl --values - <<'EOF'\n{}\nEOF"
    );
}
