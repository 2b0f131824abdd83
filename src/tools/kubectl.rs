//! kubectl: queries and changes to a cluster.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::hiccup::ClusterPatience;
use super::{first_version, garbage, json};
use crate::kube::object::Object;
use crate::process::{Cmd, ExecError, Output, Runner};

/// The outcome of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is being deleted.
    BlobState,
    /// It was already gone.
    Gone,
    /// Another object has that name by now, and was kept.
    Another,
}

/// The timeout for the API server.
const ANSWER: Duration = Duration::from_secs(60);

/// The limit for the JSON of pods, in bytes: thousands take 150 MiB.
const PODS_OUTPUT: usize = 256 << 20;
/// The limit for anything else that grows with a cluster.
const OUTPUT: usize = 64 << 20;

/// The Milvus resource with its version: right after the CRDs are created, `milvuses.milvus.io` may mean
/// `v1alpha1`, which has no `spec.components`.
pub const MILVUSES: &str = "milvuses.v1beta1.milvus.io";
/// The name of Milvus's CRD.
pub const DEFINITION: &str = "milvuses.milvus.io";

/// The `kubectl` program, for one kubeconfig context.
#[derive(Clone)]
pub struct Kubectl {
    runner: Arc<dyn Runner>,
    context: String,
    patience: ClusterPatience,
}

impl Kubectl {
    /// kubectl for `context`, run by `runner`.
    pub(super) fn new(runner: Arc<dyn Runner>, context: &str, patience: ClusterPatience) -> Self {
        Self { runner, context: context.to_owned(), patience }
    }

    /// Queries the cluster, waiting out brief outages.
    fn ask(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        self.patience.ask(self.runner.as_ref(), cmd)
    }

    /// The version of kubectl itself.
    ///
    /// # Errors
    /// Fails when kubectl is missing or prints no version.
    pub fn client_version(&self) -> Result<semver::Version, ExecError> {
        let cmd = Cmd::read("kubectl", ANSWER).args(["version", "--client", "--output", "json"]);
        let output = self.runner.run(&cmd)?;
        let answer: serde_json::Value = json(&cmd, &output)?;
        answer["clientVersion"]["gitVersion"]
            .as_str()
            .and_then(first_version)
            .ok_or_else(|| garbage(&cmd, "no version", &output.stdout))
    }

    /// The cluster's Kubernetes version.
    ///
    /// # Errors
    /// Fails when the cluster does not answer or reports no version.
    pub fn server_version(&self) -> Result<semver::Version, ExecError> {
        let cmd = self.read().args(["get", "--raw", "/version"]);
        let output = self.ask(&cmd)?;
        let answer: serde_json::Value = json(&cmd, &output)?;
        answer["gitVersion"]
            .as_str()
            .and_then(first_version)
            .ok_or_else(|| garbage(&cmd, "no version", &output.stdout))
    }

    /// The names of all contexts in the kubeconfig.
    ///
    /// # Errors
    /// Fails when the kubeconfig cannot be read.
    pub fn contexts(&self) -> Result<Vec<String>, ExecError> {
        let cmd = Cmd::read("kubectl", ANSWER).args(["config", "get-contexts", "--output", "name"]);
        Ok(self.runner.run(&cmd)?.text().lines().map(str::to_owned).collect())
    }

    /// The names of all namespaces.
    ///
    /// # Errors
    /// Fails when the cluster does not answer.
    pub fn namespaces(&self) -> Result<Vec<String>, ExecError> {
        let cmd = self.read().args(["get", "namespaces", "--output", "name"]);
        let text = self.ask(&cmd)?.text();
        Ok(text.lines().filter_map(|line| line.strip_prefix("namespace/")).map(str::to_owned).collect())
    }

    /// The namespace and name of all Services.
    ///
    /// # Errors
    /// Fails when the cluster does not answer.
    pub fn services(&self) -> Result<Vec<(String, String)>, ExecError> {
        let cmd = self.read().args(["get", "services", "--all-namespaces", "--no-headers", "--output"]);
        let columns = "custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name";
        let text = self.ask(&cmd.arg(columns))?.text();
        let pair = |line: &str| {
            let (namespace, name) = line.split_once(char::is_whitespace)?;
            Some((namespace.to_owned(), name.trim().to_owned()))
        };
        Ok(text.lines().filter_map(pair).collect())
    }

    fn read_json(&self, args: &[&str]) -> Cmd {
        let most = if args.first() == Some(&"pods") { PODS_OUTPUT } else { OUTPUT };
        self.read().arg("get").args(args.iter().copied()).args(["--output", "json"]).output_limit(most)
    }

    fn read(&self) -> Cmd {
        Cmd::read("kubectl", ANSWER).args(["--context", &self.context]).output_limit(OUTPUT)
    }

    fn write(&self) -> Cmd {
        Cmd::write("kubectl", ANSWER).args(["--context", &self.context])
    }

    /// The output of `kubectl get ARGS` as raw JSON.
    ///
    /// # Errors
    /// Fails when the cluster does not answer or does not know the resource.
    pub fn get_bytes(&self, args: &[&str]) -> Result<Vec<u8>, ExecError> {
        let cmd = self.read_json(args);
        Ok(self.ask(&cmd)?.stdout)
    }

    /// The parsed output of `kubectl get ARGS`.
    ///
    /// # Errors
    /// As [`Kubectl::get_bytes`], and when the answer is not the expected JSON.
    pub fn get<T: DeserializeOwned>(&self, args: &[&str]) -> Result<T, ExecError> {
        let cmd = self.read_json(args);
        let output = self.ask(&cmd)?;
        json(&cmd, &output)
    }

    /// The output of `kubectl get ARGS` with `columns`, without headers.
    ///
    /// # Errors
    /// Fails when the cluster does not answer or does not know the resource.
    pub fn columns(&self, args: &[&str], columns: &str) -> Result<String, ExecError> {
        let cmd =
            self.read().arg("get").args(args.iter().copied()).args(["--no-headers", "--output", columns]);
        Ok(self.ask(&cmd)?.text())
    }

    /// One object, or `None` if it or its kind does not exist.
    ///
    /// # Errors
    /// Fails when the cluster does not answer.
    pub fn find<T: DeserializeOwned>(
        &self,
        kind: &str,
        name: &str,
        namespace: Option<&str>,
    ) -> Result<Option<T>, ExecError> {
        let mut args = vec![kind, name];
        if let Some(namespace) = namespace {
            args.extend(["--namespace", namespace]);
        }
        match self.get(&args) {
            Ok(object) => Ok(Some(object)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Applies YAML or JSON objects, on the server side: the operator's resources exceed the size limit of
    /// the annotation that a client-side apply writes.
    ///
    /// # Errors
    /// Fails with the API server's error.
    pub fn apply(&self, objects: &str) -> Result<Output, ExecError> {
        self.runner.run(&self.apply_command().input(objects))
    }

    /// Applies objects with secrets, of which no error may repeat `words`.
    ///
    /// # Errors
    /// Fails with the API server's error.
    pub fn apply_secret(&self, objects: &str, words: [&str; 2]) -> Result<Output, ExecError> {
        self.runner.run(&self.apply_command().secret_input(objects, words))
    }

    /// The command of [`Kubectl::apply`], without its input.
    pub fn apply_command(&self) -> Cmd {
        self.write()
            .args(["apply", "--server-side", "--force-conflicts", "--field-manager", "milvusctl"])
            .args(["--filename", "-"])
    }

    /// The command that waits until the API server knows the resource definition `name`.
    pub fn wait_for_definition_command(&self, name: &str, timeout: Duration) -> Cmd {
        self.write()
            .args(["wait", "--for=condition=Established"])
            .arg(format!("customresourcedefinitions/{name}"))
            .arg(format!("--timeout={}s", timeout.as_secs()))
            .limit(timeout)
    }

    /// The command that waits for something of a resource, such as `condition=Ready`.
    pub fn wait_command(&self, namespace: &str, resource: &str, what: &str, timeout: Duration) -> Cmd {
        self.write()
            .args(["--namespace", namespace, "wait", &format!("--for={what}"), resource])
            .arg(format!("--timeout={}s", timeout.as_secs()))
            .limit(timeout)
    }

    /// Deletes exactly this object, and returns without waiting until it is gone.
    ///
    /// The API server compares the UID, so an object that has taken the name since is kept. `kubectl delete`
    /// has no flag for that, but its `--raw` passes the options through.
    ///
    /// # Errors
    /// Fails when the cluster does not answer or rejects it.
    pub fn delete_exactly(&self, object: &Object) -> Result<Deletion, ExecError> {
        match self.runner.run(&self.delete_command(object)) {
            Ok(_) => Ok(Deletion::BlobState),
            Err(error) if is_absent(&error) => Ok(Deletion::Gone),
            Err(error) if error.mentions("the UID in the precondition") => Ok(Deletion::Another),
            Err(error) => Err(error),
        }
    }

    /// The command of [`Kubectl::delete_exactly`].
    pub fn delete_command(&self, object: &Object) -> Cmd {
        let options = serde_json::json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": object.uid},
            "propagationPolicy": "Background",
        });
        self.write().args(["delete", "--raw", &object.path(), "--filename", "-"]).input(options.to_string())
    }

    /// Merges `patch` into an object.
    ///
    /// # Errors
    /// Fails with the API server's error.
    pub fn patch(
        &self,
        kind: &str,
        name: &str,
        namespace: &str,
        patch: &serde_json::Value,
    ) -> Result<(), ExecError> {
        let cmd = self
            .write()
            .args(["patch", kind, name, "--namespace", namespace, "--type", "merge"])
            .args(["--patch", &patch.to_string()]);
        self.runner.run(&cmd).map(drop)
    }

    /// Checks that the API server is ready.
    ///
    /// # Errors
    /// Fails when it does not answer or is not ready.
    pub fn is_ready(&self) -> Result<(), ExecError> {
        let cmd = self.read().args(["get", "--raw", "/readyz"]).limit(Duration::from_secs(15));
        self.runner.run(&cmd).map(drop)
    }

    /// A container's last log lines, of its previous run if `previous`.
    ///
    /// # Errors
    /// Fails when the container does not exist or has not run.
    pub fn logs(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        lines: u32,
        previous: bool,
    ) -> Result<String, ExecError> {
        let mut cmd = self
            .read()
            .args(["logs", "--namespace", namespace, pod, "--container", container])
            .args(["--tail", &lines.to_string()]);
        if previous {
            cmd = cmd.arg("--previous");
        }
        // No retries: the answer comes from the pod's node, which may be down for good.
        Ok(self.runner.run(&cmd)?.text())
    }

    /// The command that forwards a local port while it runs.
    pub fn port_forward(&self, namespace: &str, target: &str, address: &str, ports: &str) -> Cmd {
        self.read().args(["port-forward", "--namespace", namespace]).args([
            "--address",
            address,
            target,
            ports,
        ])
    }
}

/// Whether the object or its kind does not exist.
pub fn is_absent(error: &ExecError) -> bool {
    error.mentions("(NotFound)") || error.mentions("the server doesn't have a resource type")
}

/// Whether the API server does not know a kind yet, as right after its CRD was created. Discovery may list a
/// kind before its objects are served; the answer is then a bare 404.
pub fn is_unknown_kind(error: &ExecError) -> bool {
    error.mentions("no matches for kind")
        || error.mentions("resource mapping not found")
        || error.mentions("the server could not find the requested resource")
}

/// Whether `kubectl port-forward` could not listen on the local port.
pub fn cannot_listen(error: &ExecError) -> bool {
    error.mentions("unable to listen")
}

/// Whether this line of `kubectl port-forward` announces that the port is open.
pub fn says_forwarding(line: &str) -> bool {
    line.starts_with("Forwarding from")
}

/// Whether the cluster cannot be reached at all.
pub fn is_unreachable(error: &ExecError) -> bool {
    [
        "was refused",
        "unable to connect to the server",
        "does not exist",
        "context was not found",
        "no route to host",
        "i/o timeout",
    ]
    .iter()
    .any(|text| error.mentions(text))
}

/// Whether the user lacks permission.
pub fn is_forbidden(error: &ExecError) -> bool {
    error.mentions("forbidden")
}

#[cfg(test)]
#[path = "kubectl_tests.rs"]
mod tests;
