//! Prints the settings in force as a configuration file that says where each came from.

use serde_json::{Value, json};

use super::Settings;
use super::keys;
use super::layer::Raw;
use super::origin::Origin;
use crate::templates::{self, TemplateError};

/// Renders `settings` as a configuration file, with `# from: …` behind every value.
///
/// Secrets are not part of the settings, only where they are read from.
///
/// # Errors
/// When the template does not fit, which is a fault of the program.
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

/// The flags by which another run is told the same plan, as far as images depend on it.
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
            Raw::Truth(is_set) if *is_set != flag.about.is_empty() => {}
            Raw::Truth(_) => flags.push(format!("--{}", flag.name)),
            Raw::Text(text) if text.is_empty() => {}
            Raw::Text(text) => flags.extend([format!("--{}", flag.name), text.clone()]),
            _ => {}
        }
    }
    flags
}

/// Writes a value on one line.
fn flow(value: &Raw) -> String {
    match value {
        Raw::Text(text) => templates::scalar(text),
        Raw::Integer(number) => number.to_string(),
        Raw::Truth(truth) => truth.to_string(),
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
    fn a_plan_is_told_by_flags_where_it_differs_from_the_default() {
        assert_eq!(flags("{}"), [""; 0]);
        assert_eq!(
            flags("{small: true, operator: {version: 1.1.4}, attu: {enabled: false}}"),
            ["--small", "--operator-version", "1.1.4", "--no-attu"]
        );
        assert_eq!(flags("{small: false, attu: {enabled: true}}"), [""; 0]);
    }
}
