//! Prints the effective settings as a configuration file with the origin of each value.

use serde_json::{Value, json};

use super::Settings;
use super::keys;
use super::layer::Raw;
use super::origin::Origin;
use crate::templates::{self, TemplateError};

/// Renders `settings` as a configuration file, with `# from: …` after each value.
///
/// Settings never contain secrets, only where to read them.
///
/// # Errors
/// Fails if the template does not render, which is a bug.
pub fn render(settings: &Settings) -> Result<String, TemplateError> {
    let mut lines = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for key in keys::ALL {
        let Some(given) = settings.shown.get(key.path) else { continue };
        let mut sections: Vec<&str> = key.path.split('.').collect();
        let name = sections.pop().unwrap_or_default();
        let common = open.iter().zip(&sections).take_while(|(a, b)| a == b).count();
        for (depth, section) in sections.iter().enumerate().skip(common) {
            lines.push(json!({"pad": "  ".repeat(depth), "key": section}));
        }
        let value = flow(&given.value);
        lines.push(json!({"pad": "  ".repeat(sections.len()), "key": name, "value": value, "from": given.from.to_string()}));
        open = sections;
    }
    templates::render("config.yaml.j2", json!({ "lines": lines }))
}

/// The flags that reproduce this plan in another run, as far as it affects images.
pub fn plan_flags(settings: &Settings) -> Vec<String> {
    let decisive = [
        keys::SMALL,
        keys::OPERATOR_VERSION,
        keys::MILVUS_MODE,
        keys::MILVUS_VERSION,
        keys::MILVUS_MESSAGE_STORE,
        keys::ATTU_ENABLED,
    ];
    let mut flags = Vec::new();
    for (key, flag) in decisive.iter().filter_map(|key| Some((key, key.flag?))) {
        let Some(given) = settings
            .shown
            .get(key.path)
            .filter(|given| !matches!(given.from, Origin::Default | Origin::Small))
        else {
            continue;
        };
        match &given.value {
            Raw::Bool(is_set) if *is_set != flag.about.is_empty() => {}
            Raw::Bool(_) => flags.push(format!("--{}", flag.name)),
            Raw::Text(text) if text.is_empty() => {}
            Raw::Text(text) => flags.extend([format!("--{}", flag.name), text.clone()]),
            _ => {}
        }
    }
    flags
}

/// Formats a value on one line.
fn flow(value: &Raw) -> String {
    match value {
        Raw::Text(text) => templates::scalar(text),
        Raw::Integer(number) => number.to_string(),
        Raw::Bool(value) => value.to_string(),
        Raw::Texts(texts) => texts.iter().map(|given| given.value.as_str()).collect::<Value>().to_string(),
        Raw::Rules(rules) => {
            let rules: Vec<_> = rules.iter().map(|given| &given.value).collect();
            json!(rules).to_string()
        }
        Raw::Tree(tree) => tree.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{file, resolve};

    fn flags(text: &str) -> Vec<String> {
        let file = file::parse(std::path::Path::new("m.yaml"), text);
        plan_flags(&resolve(super::super::Layer::default(), Some(file)).unwrap())
    }

    #[test]
    fn plan_flags_are_those_that_differ_from_the_defaults() {
        assert_eq!(flags("{}"), [""; 0]);
        assert_eq!(
            flags("{small: true, operator: {version: 1.1.4}, attu: {enabled: false}}"),
            ["--small", "--operator-version", "1.1.4", "--no-attu"]
        );
        assert_eq!(flags("{small: false, attu: {enabled: true}}"), [""; 0]);
    }
}
