//! Pushes an image from the engine: tags it for the registry, pushes it, and removes the tag.

use crate::context::Context;
use crate::images::ImageRef;
use crate::load::not_pushed::NotPushed;
use crate::load::pull::image_ids;
use crate::tools::{ENGINE_DISK_HINT, PushRefusal, docker_words, is_disk_full};

/// Pushes an image from the engine as `target`, a tag that is removed afterwards unless it existed before.
pub(super) fn push_from_engine(context: &Context, image: &ImageRef, target: &str) -> Result<(), NotPushed> {
    let failed = |error: String, hint: Option<String>| NotPushed { error, hint };
    let docker = &context.tools.docker;
    let source = image.without_digest().familiar();
    let was_there = is_named(context, &source, target).map_err(|(error, hint)| failed(error, hint))?;
    if !was_there {
        docker.tag(&source, target).map_err(|error| {
            failed(format!("could not be tagged `{target}`: {}", docker_words(&error)), None)
        })?;
    }
    let transfer = context.ui.transfer(&format!("pushing {target}"));
    let result = docker.push(target);
    if !was_there {
        // The tag was only for the push. A leftover does no harm.
        _ = docker.remove_name(target);
    }
    match result {
        Ok(()) => {
            transfer.done(&format!("pushed {target}"), None);
            Ok(())
        }
        Err(error) => {
            let words = docker_words(&error);
            transfer.failed(&format!("could not push {target}: {words}"));
            let hint = push_hint(target, &error.to_string());
            Err(failed(words, hint))
        }
    }
}

/// Whether the engine already has `source` under the name `target`.
///
/// # Errors
/// Returns an error message and hint if another image has that name, which is not ours to move.
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
        "inspect it with `docker image inspect {target}`; to free the name, tag it differently, then `docker rmi {target}`"
    );
    Err((format!("`{target}` already names another image in the engine, `{taken}`"), Some(hint)))
}

/// The hint for a rejected push, from docker's output.
fn push_hint(target: &str, words: &str) -> Option<String> {
    if is_disk_full(words) {
        return Some(ENGINE_DISK_HINT.to_owned());
    }
    let registry = target.split('/').next().unwrap_or(target);
    Some(match PushRefusal::of(words)? {
        PushRefusal::PlainHttp => {
            format!(
                "`{registry}` does not use TLS: add it to `insecure-registries` in the engine's daemon.json"
            )
        }
        PushRefusal::Denied => {
            format!("log in with `docker login {registry}`, and check that you may push there")
        }
        PushRefusal::Certificate => format!(
            "put the certificate of `{registry}` where the engine looks for it: /etc/docker/certs.d/{registry}/ca.crt"
        ),
        PushRefusal::TooLarge => {
            format!("a proxy in front of `{registry}` limits the size of requests: raise its limit")
        }
        PushRefusal::Unreachable => {
            format!("`{registry}` cannot be reached from the engine: check its name and port")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_refusal_has_its_hint() {
        let rows = [
            ("http: server gave HTTP response to HTTPS client", Some("insecure-registries")),
            ("unauthorized: authentication required", Some("docker login r:1")),
            ("x509: certificate signed by unknown authority", Some("/etc/docker/certs.d/r:1/ca.crt")),
            ("error parsing HTTP 413 response body", Some("limits the size")),
            ("dial tcp: lookup r: no such host", Some("cannot be reached")),
            ("write /var/lib/docker/tmp/x: no space left on device", Some("docker system df")),
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
