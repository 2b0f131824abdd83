//! The helm values of the operator's chart.

use serde_json::{Value, json};

use super::{merge, pushed};
use crate::settings::Settings;
use crate::templates::{self, TemplateError};
use crate::yaml::{self, YamlError};

/// An error in putting the values together.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// The user's own values are not YAML.
    #[error("the operator's values are not YAML: {0}")]
    Yaml(#[from] YamlError),
    /// The user's own values are not a mapping.
    #[error("the operator's values are expected to be a mapping")]
    NotAMapping,
    /// A template failed to render.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Renders the values for `helm upgrade --install`: milvusctl's, overridden by `own`, the text of the file
/// that `operator.valuesFile` names.
///
/// # Errors
/// When `own` is not a YAML mapping.
pub fn helm_values(settings: &Settings, own: Option<&str>) -> Result<String, ValuesError> {
    let image = settings
        .operator
        .image
        .as_ref()
        .map(ToString::to_string)
        .or_else(|| settings.mirror.push.as_ref().map(|_| "milvusdb/milvus-operator".to_owned()));
    let image = image.map(|image| pushed(settings, &image));
    let (repository, tag) = image.as_deref().map_or((None, None), |image| {
        let (repository, tag) = split_tag(image);
        (Some(repository), tag)
    });
    let text =
        templates::render("values.yaml.j2", json!({"image_repository": repository, "image_tag": tag}))?;
    let mut values: Value = yaml::from_str(&text)?;
    if let Some(own) = own {
        match yaml::from_str(own)? {
            Value::Null => {}
            own @ Value::Object(_) => merge(&mut values, &own),
            _ => return Err(ValuesError::NotAMapping),
        }
    }
    Ok(templates::document(&values)?)
}

/// Splits an image into repository and tag. The colon of a registry's port does not start a tag.
fn split_tag(image: &str) -> (&str, Option<&str>) {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (image, None),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::{Layer, file, resolve};

    fn values(text: &str, own: Option<&str>) -> Value {
        let settings = resolve(Layer::default(), Some(file::parse(Path::new("m.yaml"), text))).unwrap();
        yaml::from_str(&helm_values(&settings, own).unwrap()).unwrap()
    }

    #[test]
    fn the_image_is_left_to_the_chart() {
        let values = values("", None);
        assert_eq!(values.get("image"), None);
        assert_eq!(values["resources"]["limits"], json!({"cpu": "1", "memory": "1Gi"}));
    }

    #[test]
    fn a_custom_image_is_split_into_repository_and_tag() {
        let image = |text| values(text, None)["image"].clone();
        assert_eq!(
            image("operator: {image: \"a:5000/b/c:v1\"}"),
            json!({"repository": "a:5000/b/c", "tag": "v1"})
        );
        assert_eq!(image("operator: {image: \"a:5000/b/c\"}"), json!({"repository": "a:5000/b/c"}));
        assert_eq!(
            image("cluster: {context: c}\nmirror: {push: \"r:5000/x\"}\nmilvus: {version: 2.6.0}"),
            json!({"repository": "r:5000/x/milvusdb/milvus-operator"})
        );
    }

    #[test]
    fn the_users_values_win() {
        let merged =
            values("", Some("replicaCount: 2\nresources: {limits: ~}\nnodeSelector: {a: \"yes\"}\n"));
        assert_eq!(merged["replicaCount"], 2);
        assert_eq!(merged["resources"], json!({"requests": {"cpu": "100m", "memory": "100Mi"}}));
        assert_eq!(merged["nodeSelector"], json!({"a": "yes"}));
        assert_eq!(values("", Some("# nothing\n---\n")), values("", None));
    }

    #[test]
    fn values_other_than_a_mapping_are_rejected() {
        let error = |own| helm_values(&Settings::default(), Some(own)).unwrap_err().to_string();
        assert_eq!(error("- a"), "the operator's values are expected to be a mapping");
        assert!(error("a: [").starts_with("the operator's values are not YAML: "));
    }
}
