//! Attu, Milvus's web interface, as a Deployment and a Service.

use serde_json::json;

use super::pushed;
use crate::settings::{Settings, attu_line};
use crate::templates::{self, TemplateError};

/// Renders Attu's Deployment and its Service on port 3000, both named `<milvus>-attu`, in Milvus's namespace.
///
/// # Errors
/// Fails when the template does not render, which is a bug.
pub fn attu(settings: &Settings) -> Result<String, TemplateError> {
    let (milvus, attu) = (&settings.milvus, &settings.attu);
    // By Attu's own manifests: MILVUS_URL up to 2.6, MILVUS_ADDRESS since 3.0.0-beta.
    let takes_address = attu_line(&attu.version).is_some_and(|line| line >= (3, 0));
    templates::render(
        "attu.yaml.j2",
        json!({
            "name": format!("{}-attu", milvus.name),
            "namespace": milvus.namespace,
            "instance": milvus.name,
            "image": pushed(settings, &format!("zilliz/attu:{}", attu.version)),
            "address_variable": if takes_address { "MILVUS_ADDRESS" } else { "MILVUS_URL" },
            "address": format!("{}-milvus.{}:19530", milvus.name, milvus.namespace),
        }),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::settings::{Layer, file, resolve};
    use crate::yaml;

    fn manifests(text: &str) -> Vec<Value> {
        let settings = resolve(Layer::default(), Some(file::parse(Path::new("m.yaml"), text))).unwrap();
        yaml::documents(&attu(&settings).unwrap()).unwrap()
    }

    #[test]
    fn attu_gets_milvus_address() {
        let found = manifests("milvus: {name: m, namespace: \"1e3\"}");
        let container = &found[0]["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["env"], json!([{"name": "MILVUS_URL", "value": "m-milvus.1e3:19530"}]));
        assert_eq!(
            (&container["image"], &container["imagePullPolicy"]),
            (&json!("zilliz/attu:v2.5.12"), &json!("IfNotPresent"))
        );
        assert_eq!(found[1]["metadata"]["namespace"], "1e3");
    }

    #[test]
    fn attu_3_takes_an_address() {
        let found = manifests("attu: {version: v3.0.0-beta}");
        assert_eq!(found[0]["spec"]["template"]["spec"]["containers"][0]["env"][0]["name"], "MILVUS_ADDRESS");
    }

    #[test]
    fn the_service_selects_the_pods() {
        let found = manifests("");
        assert_eq!(found[0]["spec"]["selector"]["matchLabels"], found[1]["spec"]["selector"]);
        assert_eq!(found[1]["spec"]["ports"][0]["port"], 3000);
        for manifest in &found {
            assert_eq!(manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"], "milvusctl");
        }
    }
}
