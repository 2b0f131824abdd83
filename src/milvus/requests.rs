//! Reads the pods' resource requests from a Milvus's custom resource.

use serde_json::Value;

/// Describes what each pod requests, as far as the custom resource sets it.
///
/// Empty when everything is left to the operator and its charts.
pub fn requests(resource: &Value) -> String {
    let mut said = Vec::new();
    let components = resource.pointer("/spec/components").unwrap_or(&Value::Null);
    said.extend(quantities(components).map(|asked| format!("Milvus {asked}")));
    let own = components.as_object().into_iter().flatten();
    said.extend(own.filter_map(|(name, part)| Some(format!("{name} {}", quantities(part)?))));
    let dependencies = resource.pointer("/spec/dependencies").and_then(Value::as_object);
    for (name, dependency) in dependencies.into_iter().flatten() {
        let Some(values) = dependency.pointer("/inCluster/values") else { continue };
        said.extend(quantities(values).map(|asked| format!("{name} {asked}")));
        let parts = values.as_object().into_iter().flatten();
        said.extend(
            parts.filter_map(|(part, values)| Some(format!("{name}'s {part} {}", quantities(values)?))),
        );
    }
    said.join(", ")
}

/// Returns the CPU and memory that `part` requests.
fn quantities(part: &Value) -> Option<String> {
    let requests = part.pointer("/resources/requests")?;
    let asked = ["cpu", "memory"].into_iter().filter_map(|name| match requests.get(name)? {
        Value::String(quantity) => Some(quantity.clone()),
        number => Some(number.to_string()),
    });
    let asked: Vec<String> = asked.collect();
    (!asked.is_empty()).then(|| asked.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::super::custom_resource;
    use super::super::tests::settings;
    use super::*;

    fn of(text: &str) -> String {
        requests(&custom_resource(&settings(text)))
    }

    #[test]
    fn a_small_milvus_lists_its_requests() {
        assert_eq!(of("small: true"), "Milvus 100m and 256Mi, storage 100Mi");
    }

    #[test]
    fn the_parts_of_a_message_store_are_listed_separately() {
        let text = of("milvus: {mode: cluster}");
        assert!(
            text.starts_with("pulsar's autorecovery 50m and 128Mi, pulsar's bookkeeper 50m and 512Mi"),
            "{text}"
        );
    }

    #[test]
    fn a_component_with_its_own_requests_is_named() {
        let text = of("milvus: {mode: standalone, sizing: operator, spec: {components: {standalone: \
                       {resources: {requests: {cpu: 2}}}}}}");
        assert_eq!(text, "standalone 2");
    }

    #[test]
    fn requests_left_to_the_operator_are_not_guessed() {
        assert_eq!(of("milvus: {sizing: operator}"), "");
    }
}
