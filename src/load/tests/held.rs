//! What nodes are found to hold.

use super::*;

/// Prints partial output and fails, like `ctr images check` of containerd 2.1 with a broken image.
struct BrokenImageNode(String);

impl crate::process::Runner for BrokenImageNode {
    fn run_with(
        &self,
        cmd: &crate::process::Cmd,
        _: &mut dyn FnMut(crate::process::Stream, &str),
    ) -> Result<crate::process::Output, crate::process::ExecError> {
        Err(crate::process::ExecError::Failed {
            cmd: cmd.to_string(),
            status: "exit status: 1".into(),
            code: Some(1),
            tail: vec!["ctr: content digest sha256:1: not found".into()],
            stdout: self.0.clone().into_bytes(),
        })
    }
    fn start(
        &self,
        _: &crate::process::Cmd,
    ) -> Result<Box<dyn crate::process::Running>, crate::process::ExecError> {
        unreachable!("nothing is started")
    }
    fn locate(&self, _: &str) -> Option<std::path::PathBuf> {
        None
    }
}

#[test]
fn a_broken_image_does_not_hide_a_nodes_other_images() {
    let ask = |table: String| {
        crate::load::containerd::held_by_nodes(
            &Context::for_test(Arc::new(BrokenImageNode(table))),
            &["n1".to_owned()],
        )
    };
    let held = ask(listed(true)).unwrap();
    assert!(held.images.holds("n1", &"test/two:1".parse().unwrap()));
    assert!(ask(String::new()).is_err(), "no table is no answer");
}

#[test]
fn a_paused_node_is_reported_and_not_asked() {
    const PS: &str = "docker ps --all --no-trunc --filter label=io.x-k8s.kind.cluster=milvus-cluster --format '{{.Names}}|{{.Label \"io.x-k8s.kind.role\"}}|{{.State}}|{{.Image}}|{{.Ports}}'";
    let runner = Arc::new(
        ScriptedRunner::default()
            .answer(PS, "n1|control-plane|running|kindest/node|\nn2|worker|paused|kindest/node|\n")
            .answer(CHECK, &listed(true)),
    );
    let context = Context::for_test(runner);
    let held = crate::load::held_by_nodes(&context, &["n1".to_owned(), "n2".to_owned()]).unwrap();
    assert!(held.images.holds("n1", &"test/two:1".parse().unwrap()));
    let closed = [("n2".to_owned(), "its container is stopped or paused".to_owned())];
    assert_eq!(held.closed, closed.into());
}
