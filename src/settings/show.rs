//! Prints the settings in force as a configuration file that says where each came from.

use serde_json::{Value, json};

use super::Settings;
use super::keys;
use super::layer::Raw;
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
