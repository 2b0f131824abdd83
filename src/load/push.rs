//! Puts the planned images into the registry that an existing cluster pulls from: pulls each, names it for that
//! registry, pushes it, and takes the name away again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::images::ImageRef;
use crate::images::catalog::PlannedImage;
use crate::images::plan::Pull;
use crate::images::reference::below;
use crate::load::find::{engine_images, pull_script};
use crate::load::pull::{image_ids, pull_any};
use crate::tools::docker::{push_command, remove_command, tag_command};
use crate::tools::docker_words;
use crate::ui::count;

/// What kept an image from the registry.
struct NotPushed {
    image: String,
    error: String,
    hint: Option<String>,
}

/// Pulls and pushes `images`, `jobs` at a time.
///
/// # Errors
/// Fails with [`Exit::Partial`] when some of the images could not be pushed, with [`Exit::Failed`] when none could,
/// and when the user interrupts.
pub(crate) fn push_images(context: &Context, images: &[PlannedImage], jobs: usize) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<NotPushed>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(images.len()) {
            scope.spawn(|| {
                while let Some(planned) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if context.interrupt.is_set() {
                        return;
                    }
                    if let Err(failure) = push_one(context, planned)
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push(failure);
                    }
                }
            });
        }
    });
    context.check_interrupt()?;
    let mut failures = failures.into_inner().unwrap_or_default();
    if failures.is_empty() {
        return Ok(());
    }
    failures.sort_by(|a, b| a.image.cmp(&b.image));
    let mut lines = vec![format!(
        "{} could not be pushed to `{}`",
        count(failures.len(), "image"),
        context.settings.mirror.push.as_deref().unwrap_or_default()
    )];
    lines.extend(failures.iter().map(|failure| format!("{}: {}", failure.image, failure.error)));
    let exit = if failures.len() < images.len() { Exit::Partial } else { Exit::Failed };
    let mut hints: Vec<String> = failures.into_iter().filter_map(|failure| failure.hint).collect();
    hints.dedup();
    hints.push("nothing was installed; run the same command again to resume".to_owned());
    Err(Failure::new(exit, lines.join("\n")).hints(hints).into())
}

/// The name under which the registry gets an image.
fn target_of(context: &Context, image: &ImageRef) -> String {
    let name = image.without_digest().to_string();
    context.settings.mirror.push.as_ref().map_or_else(|| name.clone(), |prefix| below(prefix, &name))
}

/// The commands that would push one image by hand.
pub(crate) fn push_script(context: &Context, image: &ImageRef) -> String {
    let name = image.familiar();
    let pull = pull_script(&name, &Pull { candidates: context.mirror_rules().candidates(image) });
    let target = target_of(context, image);
    let tag = tag_command(&image.without_digest().familiar(), &target);
    [pull, tag.to_string(), push_command(&target).to_string(), remove_command(&target).to_string()].join("\n")
}

fn push_one(context: &Context, planned: &PlannedImage) -> Result<(), NotPushed> {
    let image = &planned.image;
    let failed = |error: String, hint: Option<String>| NotPushed { image: image.familiar(), error, hint };
    let held = engine_images(context, &[image]).map_err(|error| failed(format!("{error:#}"), None))?;
    if !held.held.contains_key(image) {
        let rules = context.mirror_rules();
        pull_any(context, image, &Pull { candidates: rules.candidates(image) })
            .map_err(|pull| failed(pull.error, pull.hint))?;
    }
    let target = target_of(context, image);
    let docker = &context.tools.docker;
    let source = image.without_digest().familiar();
    let was_there = is_named(context, &source, &target).map_err(|(error, hint)| failed(error, hint))?;
    if !was_there {
        docker.tag(&source, &target).map_err(|error| {
            failed(format!("could not be named `{target}`: {}", docker_words(&error)), None)
        })?;
    }
    let transfer = context.ui.transfer(&format!("pushing {target}"));
    let result = docker.push(&target);
    if !was_there {
        // The registry has it, or not; the name was for the push alone. One that stays does no harm.
        _ = docker.remove_name(&target);
    }
    match result {
        Ok(()) => {
            transfer.done(&format!("pushed {target}"), None);
            Ok(())
        }
        Err(error) => {
            let words = docker_words(&error);
            transfer.failed(&format!("could not push {target}: {words}"));
            let hint = push_hint(&target, &error.to_string());
            Err(failed(words, hint))
        }
    }
}

/// Whether the engine has `source` under the name `target` already.
///
/// # Errors
/// Fails with what to tell the user, and what to do, when another image has that name: it is not ours to move.
fn is_named(context: &Context, source: &str, target: &str) -> Result<bool, (String, Option<String>)> {
    let ask = |name: &str| {
        image_ids(context, &[name.to_owned()]).map(|mut ids| ids.remove(name)).map_err(|error| {
            (format!("could not ask the engine for `{name}`: {}", docker_words(&error)), None)
        })
    };
    let Some(taken) = ask(target)? else { return Ok(false) };
    if ask(source)?.as_ref() == Some(&taken) {
        return Ok(true);
    }
    let hint = format!(
        "see what it is with `docker image inspect {target}`; give it another name, then `docker rmi {target}`"
    );
    Err((format!("`{target}` is the name of another image in the engine, `{taken}`"), Some(hint)))
}

/// What to do about a push that the registry did not take, by docker's words.
fn push_hint(target: &str, words: &str) -> Option<String> {
    let registry = target.split('/').next().unwrap_or(target);
    let words = words.to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
    if says(&["server gave http response to https client"]) {
        return Some(format!(
            "`{registry}` speaks no TLS: name it under `insecure-registries` in the engine's daemon.json"
        ));
    }
    if says(&["denied", "unauthorized", "authentication required", "no basic auth credentials"]) {
        return Some(format!("log in with `docker login {registry}`, and see that you may push there"));
    }
    if says(&["x509", "certificate"]) {
        return Some(format!(
            "put the certificate of `{registry}` where the engine looks for it: /etc/docker/certs.d/{registry}/ca.crt"
        ));
    }
    if says(&["413", "too large"]) {
        return Some(format!("a proxy before `{registry}` limits the size of a request: raise it there"));
    }
    says(&["no such host", "connection refused", "timeout", "timed out", "no route to host", "eof"])
        .then(|| format!("`{registry}` cannot be reached from the engine: check its name and port"))
}

/// Refuses to push for a release whose images are not known.
///
/// # Errors
/// Fails with [`Exit::Usage`].
pub(crate) fn check_known(context: &Context, is_known: bool) -> anyhow::Result<()> {
    if is_known || context.settings.mirror.push.is_none() {
        return Ok(());
    }
    let version = &context.settings.operator.version;
    Err(Failure::new(
        Exit::Usage,
        format!("the images of milvus-operator {version} are not known, so they cannot be pushed"),
    ).hint("choose a release that `milvusctl images plan` knows, or push its images by hand and leave `--push` out").into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::{exit_of, hints_of};
    use crate::process::ScriptedRunner;
    use crate::settings::{Layer, file, resolve};

    const INFO: &str = "docker info --format '{{json .}}'";
    const CHANGES: [&str; 3] = ["docker tag", "docker push", "docker rmi"];
    const TARGET: &str = "r:5000/x/milvusdb/milvus:v2.6.0";

    fn planned() -> Vec<PlannedImage> {
        vec![PlannedImage { image: "milvusdb/milvus:v2.6.0".parse().unwrap(), wanted_by: vec!["milvus"] }]
    }

    fn push(runner: ScriptedRunner, images: &[PlannedImage]) -> (anyhow::Result<()>, Vec<String>) {
        let runner = Arc::new(runner);
        let text =
            "cluster: {context: c}\nmirror: {preset: none, push: \"r:5000/x\"}\nmilvus: {version: 2.6.0}";
        let file = file::parse(std::path::Path::new("m.yaml"), text);
        let context = Context {
            settings: resolve(Layer::default(), Some(file)).unwrap(),
            ..Context::for_test(runner.clone())
        };
        (push_images(&context, images, 1), runner.asked())
    }

    fn in_engine() -> ScriptedRunner {
        in_engine_beside("[]")
    }

    /// With what `docker image inspect` says of the name that is pushed.
    fn in_engine_beside(taken: &str) -> ScriptedRunner {
        let inspected = r#"[{"Id": "sha256:1", "Os": "linux", "Architecture": "amd64", "RepoTags": ["milvusdb/milvus:v2.6.0"], "RootFS": {"Layers": []}}]"#;
        ScriptedRunner::default()
            .answer(INFO, "{}")
            .answer("docker image inspect milvusdb/milvus:v2.6.0", inspected)
            .answer(&format!("docker image inspect {TARGET}"), taken)
            .answer(&format!("docker tag milvusdb/milvus:v2.6.0 {TARGET}"), "")
            .answer(&format!("docker rmi {TARGET}"), "")
    }

    #[test]
    fn an_image_is_named_for_the_registry_pushed_and_the_name_taken_away() {
        let runner = in_engine().answer(&format!("docker push -q {TARGET}"), TARGET);
        let (result, asked) = push(runner, &planned());
        result.unwrap();
        assert_eq!(
            asked[asked.len() - 3..],
            [
                format!("docker tag milvusdb/milvus:v2.6.0 {TARGET}"),
                format!("docker push -q {TARGET}"),
                format!("docker rmi {TARGET}")
            ]
        );
    }

    #[test]
    fn a_name_that_the_image_had_before_is_pushed_and_kept() {
        let runner =
            in_engine_beside(r#"[{"Id": "sha256:1"}]"#).answer(&format!("docker push -q {TARGET}"), TARGET);
        let (result, asked) = push(runner, &planned());
        result.unwrap();
        let changes: Vec<&String> =
            asked.iter().filter(|asked| CHANGES.iter().any(|change| asked.starts_with(change))).collect();
        assert_eq!(changes, [&format!("docker push -q {TARGET}")]);
    }

    #[test]
    fn a_name_that_another_image_has_is_neither_moved_nor_pushed() {
        let (result, asked) = push(in_engine_beside(r#"[{"Id": "sha256:2"}]"#), &planned());
        let error = result.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "1 image could not be pushed to `r:5000/x`\nmilvusdb/milvus:v2.6.0: `{TARGET}` is the name of \
                 another image in the engine, `sha256:2`"
            )
        );
        assert!(hints_of(&error)[0].contains(&format!("`docker rmi {TARGET}`")));
        assert!(
            asked.iter().all(|asked| !CHANGES.iter().any(|change| asked.starts_with(change))),
            "{asked:?}"
        );
    }

    #[test]
    fn a_registry_that_refuses_is_named_with_what_to_do_and_the_name_is_taken_away() {
        let refusal = "denied: requested access to the resource is denied";
        let runner = in_engine().fail(&format!("docker push -q {TARGET}"), refusal);
        let (result, asked) = push(runner, &planned());
        let error = result.unwrap_err();
        assert_eq!(exit_of(&error), Exit::Failed);
        assert_eq!(
            error.to_string(),
            format!("1 image could not be pushed to `r:5000/x`\nmilvusdb/milvus:v2.6.0: {refusal}")
        );
        assert_eq!(hints_of(&error)[0], "log in with `docker login r:5000`, and see that you may push there");
        assert_eq!(asked.last().unwrap(), &format!("docker rmi {TARGET}"));
    }

    #[test]
    fn one_of_several_that_fails_is_done_in_part() {
        let other = "docker.io/milvusdb/etcd:1";
        let runner = in_engine()
            .answer(&format!("docker push -q {TARGET}"), TARGET)
            .answer("docker image inspect milvusdb/etcd:1", "[]")
            .fail(
                "docker pull milvusdb/etcd:1",
                "Error response from daemon: manifest for milvusdb/etcd:1 not found: manifest unknown",
            );
        let mut images = planned();
        images.push(PlannedImage { image: other.parse().unwrap(), wanted_by: vec!["etcd"] });
        let (result, _) = push(runner, &images);
        let error = result.unwrap_err();
        assert_eq!(exit_of(&error), Exit::Partial);
        assert!(
            error.to_string().contains("milvusdb/etcd:1: manifest for milvusdb/etcd:1 not found"),
            "{error}"
        );
    }

    #[test]
    fn each_kind_of_refusal_has_its_hint() {
        let rows = [
            ("http: server gave HTTP response to HTTPS client", Some("insecure-registries")),
            ("unauthorized: authentication required", Some("docker login r:1")),
            ("x509: certificate signed by unknown authority", Some("/etc/docker/certs.d/r:1/ca.crt")),
            ("error parsing HTTP 413 response body", Some("limits the size")),
            ("dial tcp: lookup r: no such host", Some("cannot be reached")),
            ("something else", None),
        ];
        for (words, expected) in rows {
            let hint = push_hint("r:1/x/y:z", words);
            let Some(part) = expected else {
                assert_eq!(hint, None);
                continue;
            };
            assert!(hint.as_deref().is_some_and(|hint| hint.contains(part)), "{words}: {hint:?}");
        }
    }
}
