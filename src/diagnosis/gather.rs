//! Gathers the contents of a diagnosis. What cannot be read is noted with the reason, and the rest continues.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::context::Context;
use crate::diagnosis::{self, Gathered};
use crate::kube::pod::PodList;
use crate::load::find::pods_json;
use crate::machine::check::relevant_findings;
use crate::machine::observe::{observe_machine, planned_needs};
use crate::milvus::OPERATOR;
use crate::process::{Cmd, ExecError};
use crate::status::observe::observe_cluster;
use crate::text::Mask;
use crate::tools::helm::ALL_STATES;
use crate::tools::kubectl::MILVUSES;
use crate::tools::kubectl::is_unreachable;
use crate::tools::{node, question};

/// The timeout of one query.
const ANSWER: Duration = Duration::from_secs(60);
/// How many queries run concurrently.
const QUESTIONS: usize = 4;
/// How many lines of each log are kept.
const LINES: &str = "1000";

/// A command whose output becomes a file.
struct Question {
    path: String,
    cmd: Cmd,
}

impl Question {
    fn new(path: impl Into<String>, program: &str, args: &[&str]) -> Self {
        Self { path: path.into(), cmd: question(program, args, ANSWER) }
    }
}

/// Gathers everything, without secrets; reports progress to `says`.
///
/// # Errors
/// Fails only when the user interrupts.
pub(crate) fn gather(context: &Context, mask: &Mask, says: &dyn Fn(&str)) -> anyhow::Result<Vec<Gathered>> {
    says("the machine");
    let mut gathered = vec![
        text("milvusctl.txt", "version of milvusctl", format!("milvusctl {}\n", env!("CARGO_PKG_VERSION"))),
        answer("settings.yaml", "milvusctl render config", crate::settings::render_config(&context.settings)),
        machine(context),
    ];
    gathered.extend(ask(context, &machine_questions(context)));
    context.check_interrupt()?;

    says("the nodes");
    match nodes(context) {
        Ok(nodes) => gathered.extend(ask(context, &node_questions(&nodes))),
        Err(error) => gathered.push(missing("nodes", "docker ps", &error.to_string())),
    }
    context.check_interrupt()?;

    says("the cluster");
    match pods_json(context) {
        // Do not query further: each query would wait for its own timeout.
        Err(error) => gathered.push(missing("cluster", "kubectl get pods --all-namespaces", &causes(&error))),
        Ok(pods) => {
            // Unreadable pods only lose the logs; query the rest anyway.
            let pods = PodList::from_slice(&pods).unwrap_or_else(|error| {
                gathered.push(missing("pods", "kubectl get pods --all-namespaces", &error.to_string()));
                PodList::default()
            });
            gathered.push(answer(
                "status.json",
                "milvusctl status -o json",
                observe_cluster(context).and_then(|status| Ok(serde_json::to_string_pretty(&status)?)),
            ));
            gathered.extend(ask(context, &cluster_questions(context, &pods)));
        }
    }
    context.check_interrupt()?;
    for file in &mut gathered {
        file.what = mask.text(&file.what);
        file.text = match std::mem::replace(&mut file.text, Ok(String::new())) {
            Ok(text) => Ok(diagnosis::bounded(mask.text(&text))),
            Err(error) => Err(mask.text(&error)),
        };
    }
    Ok(gathered)
}

fn text(path: &str, what: &str, text: String) -> Gathered {
    Gathered { path: path.to_owned(), what: what.to_owned(), text: Ok(text) }
}

fn answer<E: Into<anyhow::Error>>(path: &str, what: &str, answer: Result<String, E>) -> Gathered {
    let text = answer.map_err(|error| causes(&error.into()));
    Gathered { path: path.to_owned(), what: what.to_owned(), text }
}

fn missing(path: &str, what: &str, why: &str) -> Gathered {
    Gathered { path: path.to_owned(), what: what.to_owned(), text: Err(why.to_owned()) }
}

/// An error and its causes, one per line.
fn causes(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join("\n")
}

fn machine(context: &Context) -> Gathered {
    let facts = observe_machine(context, true);
    let found = planned_needs(context, &facts).map_err(anyhow::Error::from).and_then(|needs| {
        Ok(serde_json::to_string_pretty(&relevant_findings(&context.settings, &facts, &needs))?)
    });
    answer("machine.json", "milvusctl doctor -o json", found)
}

fn machine_questions(context: &Context) -> Vec<Question> {
    let mut questions = vec![
        Question::new("versions/docker.json", "docker", &["version", "--format", "{{json .}}"]),
        Question::new("versions/engine.json", "docker", &["info", "--format", "{{json .}}"]),
        Question::new("versions/kubectl.json", "kubectl", &["version", "--client", "--output", "json"]),
        Question::new("versions/helm.txt", "helm", &["version"]),
        Question::new("engine/containers.txt", "docker", &["ps", "--all"]),
        Question::new("engine/disk.txt", "docker", &["system", "df"]),
    ];
    if context.settings.cluster.context.is_none() {
        questions.push(Question::new("versions/kind.txt", "kind", &["version"]));
        questions.push(Question::new("engine/clusters.txt", "kind", &["get", "clusters"]));
    }
    questions
}

/// The node containers of our cluster; none for an existing cluster.
fn nodes(context: &Context) -> Result<Vec<String>, ExecError> {
    if context.settings.cluster.context.is_some() {
        return Ok(Vec::new());
    }
    let containers = context.tools.docker.node_containers(&context.settings.cluster.name)?;
    Ok(containers.into_iter().map(|container| container.name).collect())
}

fn node_questions(nodes: &[String]) -> Vec<Question> {
    let inside = |node: &str, file: &str, cmd: Cmd| Question {
        path: format!("nodes/{node}/{file}"),
        cmd: cmd.limit(ANSWER),
    };
    nodes
        .iter()
        .flat_map(|name| {
            [
                Question::new(format!("nodes/{name}/boot.log"), "docker", &["logs", "--tail", LINES, name]),
                inside(name, "kubelet.log", node::journal(name, "kubelet", LINES)),
                inside(name, "containerd.log", node::journal(name, "containerd", LINES)),
                inside(name, "images.txt", node::check_images(name)),
                inside(name, "disk.txt", node::disks(name)),
            ]
        })
        .collect()
}

fn cluster_questions(context: &Context, pods: &PodList<'_>) -> Vec<Question> {
    let kube_context = context.kube_context();
    let settings = &context.settings;
    let kubectl = |path: String, args: &[&str]| Question {
        cmd: question("kubectl", &[&["--context", &kube_context], args].concat(), ANSWER),
        path,
    };
    let mut questions = vec![
        kubectl("cluster/nodes.txt".into(), &["describe", "nodes"]),
        kubectl(
            "cluster/events.txt".into(),
            &["get", "events", "--all-namespaces", "--sort-by", ".lastTimestamp"],
        ),
        kubectl("cluster/pods.txt".into(), &["get", "pods", "--all-namespaces", "--output", "wide"]),
        kubectl(
            "cluster/workloads.txt".into(),
            &["get", "deployments,statefulsets,jobs", "--all-namespaces", "--output", "wide"],
        ),
        kubectl(
            "cluster/services.txt".into(),
            &["get", "services,endpoints", "--all-namespaces", "--output", "wide"],
        ),
        kubectl(
            "cluster/volumes.txt".into(),
            &["get", "storageclasses,persistentvolumes,persistentvolumeclaims", "--all-namespaces"],
        ),
        kubectl("milvus/resources.json".into(), &["get", MILVUSES, "--all-namespaces", "--output", "json"]),
        Question::new(
            "milvus/releases.txt",
            "helm",
            &[&["--kube-context", &kube_context, "list", "--all-namespaces"], &ALL_STATES[..]].concat(),
        ),
        Question::new(
            "milvus/operator-values.json",
            "helm",
            &[
                "--kube-context",
                &kube_context,
                "get",
                "values",
                OPERATOR,
                "--namespace",
                &settings.operator.namespace,
                "--output",
                "json",
            ],
        ),
        kubectl(
            "milvus/operator.log".into(),
            &[
                "logs",
                "--namespace",
                &settings.operator.namespace,
                "deployment/milvus-operator",
                "--all-containers",
                "--tail",
                LINES,
            ],
        ),
    ];
    let mut namespaces = diagnosis::troubled_namespaces(pods);
    namespaces.extend([settings.milvus.namespace.clone(), settings.operator.namespace.clone()]);
    namespaces.sort();
    namespaces.dedup();
    for namespace in &namespaces {
        let path = format!("pods/{namespace}/description.txt");
        questions.push(kubectl(path, &["describe", "pods", "--namespace", namespace]));
    }
    for failing in diagnosis::failing_containers(pods) {
        let (namespace, pod, container) = (&failing.namespace, &failing.pod, &failing.container);
        let path = format!("pods/{namespace}/{pod}/{container}");
        let args = ["logs", "--namespace", namespace, pod, "--container", container, "--tail", LINES];
        questions.push(kubectl(format!("{path}.log"), &args));
        if failing.has_run_before {
            questions.push(kubectl(format!("{path}.before.log"), &[&args[..], &["--previous"]].concat()));
        }
    }
    questions
}

/// Runs all queries, [`QUESTIONS`] at a time, and keeps their order.
fn ask(context: &Context, questions: &[Question]) -> Vec<Gathered> {
    let next = AtomicUsize::new(0);
    let answers: Vec<Mutex<Option<Gathered>>> = questions.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..QUESTIONS.min(questions.len()) {
            scope.spawn(|| {
                while let Some(place) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|place| *place < questions.len())
                {
                    if context.interrupt.is_set() {
                        return;
                    }
                    let gathered = put(context, &questions[place]);
                    if let Ok(mut slot) = answers[place].lock() {
                        *slot = Some(gathered);
                    }
                }
            });
        }
    });
    answers.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect()
}

fn put(context: &Context, question: &Question) -> Gathered {
    let text = context.tools.runner().run(&question.cmd).map(|output| output.text()).map_err(|error| {
        if is_unreachable(&error) {
            format!("the cluster does not answer: {error}")
        } else {
            error.to_string()
        }
    });
    Gathered { path: question.path.clone(), what: question.cmd.to_string(), text }
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;
