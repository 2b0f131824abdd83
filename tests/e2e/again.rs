//! `up` after an interrupt, in a pipeline, and with the article's operator.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::machine::{Machine, Run, page, registry, say, wait_for};

/// A new user's machine: Docker, the usual system programs, and no Kubernetes tools.
fn without_kubernetes_tools(machine: &mut Machine) {
    let tools = machine.folder("release-files");
    for tool in ["kind", "helm", "kubectl"] {
        let path = machine.tool("which", &[tool]).unwrap();
        fs::copy(path.trim(), tools.join(tool)).unwrap();
    }
    let bin = machine.folder("bin");
    for program in ["docker", "sh", "bash", "env", "sed", "head", "tee", "cat", "which"] {
        let path = machine.tool("which", &[program]).unwrap();
        std::os::unix::fs::symlink(path.trim(), bin.join(program)).unwrap();
    }
    machine.set("MILVUSCTL_TOOLS_MIRROR", &tools.display().to_string());
    machine.set("PATH", &bin.display().to_string());
    let data = machine.folder("data");
    machine.set("XDG_DATA_HOME", &data.display().to_string());
}

#[test]
#[ignore = "needs Docker, kind, helm and kubectl, and takes minutes"]
fn an_interrupted_up_goes_on_from_there_in_a_pipeline_on_a_machine_without_tools() {
    let mut machine = Machine::new("milvusctl-test-again");
    without_kubernetes_tools(&mut machine);
    let child = machine.start(&["up", "--small", "--timeout", "10m"]);
    wait_for("the operator's namespace", Duration::from_secs(300), || {
        machine.kubectl(&["get", "namespace", "milvus-operator"]).ok()
    });
    let begin = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = Run::of(&child.wait_with_output().unwrap(), begin.elapsed()).ends_with(130);
    say(&run.err);
    assert!(run.took < Duration::from_secs(15), "it took {:?}", run.took);
    for tool in ["kind", "helm", "kubectl"] {
        assert!(run.err.contains(tool), "that {tool} was fetched is not told:\n{}", run.err);
    }

    let before = machine.nodes();
    // The nodes get the mirrors too, so from then on they can pull by themselves.
    let mirror = format!("docker.io=http://{}", registry());
    machine.set("UP_ARGUMENTS", &format!("--small --timeout 10m --mirror {mirror}"));
    machine.set("MILVUSCTL", env!("CARGO_BIN_EXE_milvusctl"));
    let kept = machine.folder("kept");
    // The pipeline's own test: the URL it is given, and a pod whose image the node pulls through the mirror.
    let own = format!(
        "echo $MILVUS_URI >{0}/uri && $XDG_DATA_HOME/milvusctl/bin/kubectl --context kind-{1} run pulled \
         --image busybox:1.36 --command -- sleep 600 && $XDG_DATA_HOME/milvusctl/bin/kubectl --context kind-{1} \
         wait --for=condition=Ready pod/pulled --timeout=60s && docker ps >{0}/containers",
        kept.display(),
        machine.name()
    );
    let run = machine.script("examples/ci-smoke.sh", &["sh", "-c", &own]).ends_with(0);
    let smoke = &run.out[run.out.find('{').unwrap()..=run.out.rfind("}\n").unwrap()];
    assert_eq!(serde_json::from_str::<Value>(smoke).unwrap()["ok"], json!(true));
    let answer = fs::read_to_string(machine.path("up.json")).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (&answer["milvus"]["status"], &answer["milvus"]["mode"]),
        (&json!("Healthy"), &json!("standalone"))
    );
    assert_eq!(fs::read_to_string(kept.join("uri")).unwrap(), "http://127.0.0.1:19530\n");
    let containers = fs::read_to_string(kept.join("containers")).unwrap();
    assert!(before.iter().all(|node| containers.contains(node.as_str())), "{containers}");
    assert_eq!(machine.nodes(), [""; 0], "the pipeline takes its cluster away");
}

/// Puts the Milvus that 2.6 requires before it into the registry, for engines whose Docker Hub that is.
fn has_the_release_in_between(machine: &Machine) {
    let [from, to] =
        ["milvusdb/milvus:v2.6.11".to_owned(), format!("{}/milvusdb/milvus:v2.5.16", registry())];
    for args in
        [&["pull", "--quiet", &from][..], &["tag", &from, &to], &["push", "--quiet", &to], &["rmi", &to]]
    {
        machine.tool("docker", args).unwrap();
    }
}

/// Upgrades the article's operator and Milvus in place, and does not downgrade them.
#[test]
#[ignore = "needs Docker, kind, helm and kubectl, and takes minutes"]
fn the_articles_release_comes_up_and_is_upgraded_in_place() {
    let machine = Machine::new("milvusctl-test-114");
    let old = ["up", "--small", "--operator-version", "1.1.4", "--timeout", "10m", "-o", "json"];
    let answer = machine.milvusctl(&old).ends_with(0).json();
    assert_eq!(
        (&answer["milvus"]["status"], &answer["milvus"]["mode"]),
        (&json!("Healthy"), &json!("standalone"))
    );
    has_the_release_in_between(&machine);
    let images = || {
        let path = "jsonpath={.items[*].spec.containers[*].image}";
        machine.kubectl(&["get", "pods", "-A", "-o", path]).unwrap()
    };
    assert!(images().contains("milvusdb/milvus-operator:v1.1.4"), "{}", images());
    assert!(page(31000).unwrap().contains("Attu"));
    let nodes = machine.nodes();

    let new = ["up", "--small", "--operator-version", "1.3.8", "--timeout", "10m", "-o", "json"];
    let answer = machine.milvusctl(&new).ends_with(0).json();
    assert_eq!(answer["milvus"]["status"], "Healthy");
    let steps = answer["steps"].as_array().unwrap();
    let passed: Vec<_> =
        steps.iter().filter(|step| step["version"] == "2.5.16").map(|step| &step["name"]).collect();
    assert_eq!(passed, ["upgrade", "upgraded"]);
    assert_eq!(machine.nodes(), nodes);
    // The former pods may take a while to end.
    wait_for("only the new release to run", Duration::from_secs(60), || {
        let running = images();
        let has = |image: &str| running.contains(image);
        let is_new = has("milvusdb/milvus-operator:v1.3.8") && has("milvusdb/milvus:v2.6.11");
        (is_new && !has("milvusdb/milvus-operator:v1.1.4") && !has("milvusdb/milvus:v2.4.17")).then_some(())
    });
    let crd = ["get", "customresourcedefinition", "milvuses.milvus.io", "-o", "json"];
    let crd: Value = serde_json::from_str(&machine.kubectl(&crd).unwrap()).unwrap();
    let versions = crd["spec"]["versions"].as_array().unwrap();
    let beta = versions.iter().find(|version| version["name"] == "v1beta1").unwrap();
    let spec = &beta["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    // A field added by operator 1.3.0.
    assert!(
        spec["components"]["properties"]["version"].is_object(),
        "the resource definition is the old one"
    );
    let events = machine.kubectl(&["get", "events", "-A", "-o", "jsonpath={.items[*].reason}"]).unwrap();
    assert!(!events.contains("ErrImagePull"), "an image of the new release was not there in time: {events}");
    machine.milvusctl(&["smoke", "--rows", "50", "-q"]).ends_with(0);

    machine.milvusctl(&old).ends_with(2).complains_of(&["1.3.8", "1.1.4", "--force"]);
    assert!(images().contains("milvusdb/milvus-operator:v1.3.8"));
}

#[test]
#[ignore = "needs Docker, kind, helm and kubectl"]
fn a_dry_run_creates_nothing() {
    let machine = Machine::new("milvusctl-test-dry");
    let script = machine.milvusctl(&["up", "--dry-run", "--workers", "1"]).ends_with(0).out;
    for line in ["kind create cluster", "helm ", "kubectl "] {
        assert!(script.contains(line), "{line} is not in:\n{script}");
    }
    assert_eq!(machine.nodes(), [""; 0]);
}
