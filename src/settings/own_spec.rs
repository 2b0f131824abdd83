//! Applies `milvus.spec` to the settings. The spec is merged over the resource last, so its values win, and
//! everything derived from these settings must know them.

use serde_json::Value;

use super::keys::{self, Key};
use super::layer::Raw;
use super::reader::Resolver;
use super::types::{MessageStore, Milvus, Mode};
use super::validate;

/// The fields of a Milvus `spec` (milvus-operator, `milvus_types.go`).
const FIELDS: [&str; 5] = ["components", "config", "dependencies", "hookConfig", "mode"];

/// Message stores known to the operator that have no setting.
const OTHER_STORES: [&str; 1] = ["custom"];

pub(super) fn apply(resolver: &mut Resolver, milvus: &mut Milvus) {
    let spec = milvus.spec.clone();
    for field in spec.as_object().into_iter().flatten().map(|(field, _)| field.as_str()) {
        if ["apiVersion", "kind", "metadata", "spec", "status"].contains(&field) {
            resolver.problem(
                keys::MILVUS_SPEC,
                format!(
                    "`{field}` belongs to a whole Milvus resource; give only what is below its `spec`, and set name and \
                     namespace with `milvus.name` and `milvus.namespace`"
                ),
            );
        } else if !FIELDS.contains(&field) {
            let known = FIELDS.map(|field| format!("`{field}`")).join(", ");
            resolver
                .problem(keys::MILVUS_SPEC, format!("a Milvus has no `{field}` in its `spec`, only {known}"));
        }
    }
    if let Some(mode) = word(resolver, &spec, "/mode", keys::MILVUS_MODE, |text| {
        text.parse::<Mode>().map_err(|unknown| unknown.to_string())
    }) {
        milvus.mode = mode;
    }
    let store = spec.pointer("/dependencies/msgStreamType").and_then(Value::as_str);
    if !store.is_some_and(|store| OTHER_STORES.contains(&store))
        && let Some(store) =
            word(resolver, &spec, "/dependencies/msgStreamType", keys::MILVUS_MESSAGE_STORE, |text| {
                text.parse::<MessageStore>().map_err(|unknown| unknown.to_string())
            })
    {
        milvus.message_store = Some(store);
    }
    if let Some(image) = word(resolver, &spec, "/components/image", keys::MILVUS_IMAGE, validate::image) {
        // The tag sets the Milvus version, unless the spec sets it.
        if image.version().is_some() {
            milvus.version = None;
        }
        milvus.image = Some(image);
    }
    if let Some(version) =
        word(resolver, &spec, "/components/version", keys::MILVUS_VERSION, validate::version)
    {
        milvus.version = Some(version);
    }
}

/// Reads `spec` at `path`, which overrides `key`.
fn word<T>(
    resolver: &mut Resolver,
    spec: &Value,
    path: &str,
    key: Key,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let found = spec.pointer(path).filter(|value| !value.is_null())?;
    let text = found.as_str().filter(|text| !text.is_empty());
    match text.map_or_else(|| Err(format!("expected text, found `{found}`")), &read) {
        Ok(value) => {
            let origin = resolver.origin(keys::MILVUS_SPEC);
            resolver.show(key, Raw::Text(text.unwrap_or_default().to_owned()), origin);
            Some(value)
        }
        Err(message) => {
            let place = path.trim_start_matches('/').replace('/', ".");
            resolver.problem(keys::MILVUS_SPEC, format!("`{place}`: {message}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::ImageSetting;
    use crate::settings::{Layer, file, resolve};

    fn read(spec: &str) -> Result<Milvus, String> {
        let text = format!("milvus: {{mode: cluster, messageStore: pulsar, spec: {spec}}}");
        let settings = resolve(Layer::default(), Some(file::parse(Path::new("m.yaml"), &text)));
        settings.map(|settings| settings.milvus).map_err(|problems| problems.to_string())
    }

    #[test]
    fn values_in_the_spec_override_settings() {
        let milvus = read(
            "{mode: standalone, components: {image: 'r.example/milvus:v2.6.4'}, dependencies: {msgStreamType: rocksmq}}",
        )
        .unwrap();
        assert_eq!(
            (milvus.mode, milvus.message_store, milvus.image.as_ref().map(ImageSetting::as_str)),
            (Mode::Standalone, Some(MessageStore::Rocksmq), Some("r.example/milvus:v2.6.4"))
        );
        assert_eq!(read("{components: {}}").unwrap().mode, Mode::Cluster);
        assert_eq!(
            read("{dependencies: {msgStreamType: custom}}").unwrap().message_store,
            Some(MessageStore::Pulsar)
        );
    }

    #[test]
    fn a_whole_resource_is_refused() {
        let problems =
            read("{apiVersion: milvus.io/v1beta1, kind: Milvus, spec: {mode: cluster}}").unwrap_err();
        for field in ["apiVersion", "kind", "spec"] {
            assert!(
                problems.contains(&format!("`{field}` belongs to a whole Milvus resource")),
                "{problems}"
            );
        }
    }

    #[test]
    fn unknown_fields_and_values_in_the_spec_are_refused() {
        for (spec, expected) in [
            ("{componets: {}}", "a Milvus has no `componets` in its `spec`"),
            ("{mode: both}", "`mode`: expected one of"),
            ("{mode: 1}", "`mode`: expected text, found `1`"),
            ("{components: {image: 'Not An Image'}}", "`components.image`: expected an image"),
            ("{dependencies: {msgStreamType: rabbit}}", "`dependencies.msgStreamType`: expected one of"),
        ] {
            let problems = read(spec).unwrap_err();
            assert!(problems.contains(expected), "{spec}: {problems}");
        }
    }
}
