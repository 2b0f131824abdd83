//! The schema of a kind config, as in kind's pkg/apis/config/v1alpha4/types.go.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::origin::{Origin, Problem};
use crate::nearest::nearest;
use crate::yaml::{Document, PathSegment, YamlNode};

/// The type of a value. Null is allowed everywhere and means unset.
pub(super) enum Shape {
    Text,
    Integer,
    Bool,
    List(&'static Shape),
    /// A mapping with arbitrary keys.
    Each(&'static Shape),
    Fields(&'static [(&'static str, Shape)]),
}

use Shape::{Bool, Each, Fields, Integer, List, Text};

const PATCH: Shape = Fields(&[("group", Text), ("version", Text), ("kind", Text), ("patch", Text)]);

const MOUNT: Shape = Fields(&[
    ("containerPath", Text),
    ("hostPath", Text),
    ("readOnly", Bool),
    ("selinuxRelabel", Bool),
    ("propagation", Text),
]);

const PORT: Shape =
    Fields(&[("containerPort", Integer), ("hostPort", Integer), ("listenAddress", Text), ("protocol", Text)]);

const NODE: Shape = Fields(&[
    ("role", Text),
    ("image", Text),
    ("labels", Each(&Text)),
    ("extraMounts", List(&MOUNT)),
    ("extraPortMappings", List(&PORT)),
    ("kubeadmConfigPatches", List(&Text)),
    ("kubeadmConfigPatchesJSON6902", List(&PATCH)),
]);

const NETWORKING: Shape = Fields(&[
    ("ipFamily", Text),
    ("apiServerPort", Integer),
    ("apiServerAddress", Text),
    ("podSubnet", Text),
    ("serviceSubnet", Text),
    ("disableDefaultCNI", Bool),
    ("kubeProxyMode", Text),
    ("dnsSearch", List(&Text)),
]);

pub(super) const CLUSTER: Shape = Fields(&[
    ("kind", Text),
    ("apiVersion", Text),
    ("name", Text),
    ("nodes", List(&NODE)),
    ("networking", NETWORKING),
    ("featureGates", Each(&Bool)),
    ("runtimeConfig", Each(&Text)),
    ("kubeadmConfigPatches", List(&Text)),
    ("kubeadmConfigPatchesJSON6902", List(&PATCH)),
    ("containerdConfigPatches", List(&Text)),
    ("containerdConfigPatchesJSON6902", List(&Text)),
]);

impl Shape {
    const fn describe(&self) -> &'static str {
        match self {
            Text => "text",
            Integer => "a number",
            Bool => "`true` or `false`",
            List(_) => "a list",
            Each(_) | Fields(_) => "a mapping",
        }
    }

    /// The shape of the value under `name`, if that key is allowed.
    fn below(&self, name: &str) -> Option<&'static Shape> {
        match self {
            Each(shape) => Some(shape),
            Fields(fields) => fields.iter().find(|(field, _)| *field == name).map(|(_, shape)| shape),
            _ => None,
        }
    }
}

/// Reads a document into JSON by its shape, recording each value's path and every mismatch.
pub(super) struct ShapeReader<'a> {
    path: &'a Path,
    document: &'a Document<'a>,
    pub(super) paths: BTreeMap<String, Vec<PathSegment>>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> ShapeReader<'a> {
    pub(super) fn new(path: &'a Path, document: &'a Document<'a>) -> Self {
        Self { path, document, paths: BTreeMap::new(), problems: Vec::new() }
    }

    fn problem(&mut self, key: &str, at: &[PathSegment], message: String) {
        let from = Origin::File { path: self.path.to_owned(), place: self.document.place(at) };
        self.problems.push(Problem { from, key: key.to_owned(), message });
    }

    pub(super) fn read(
        &mut self,
        key: &str,
        node: &YamlNode,
        shape: &Shape,
        at: &mut Vec<PathSegment>,
    ) -> Value {
        self.paths.insert(key.to_owned(), at.clone());
        match (shape, node) {
            (_, YamlNode::Null) => Value::Null,
            (Text, YamlNode::Text(text)) => text.as_str().into(),
            // kind's decoder accepts any scalar as text, as written.
            (Text, YamlNode::Bool(_) | YamlNode::Integer(_) | YamlNode::Float(_)) => {
                self.document.source(at).unwrap_or_default().into()
            }
            (Integer, YamlNode::Integer(number)) => i64::try_from(*number).unwrap_or(i64::MAX).into(),
            (Bool, YamlNode::Bool(value)) => (*value).into(),
            // Where a bool is expected, its decoder follows YAML 1.1.
            (Bool, YamlNode::Text(text)) if yaml_1_1_bool(text).is_some() => yaml_1_1_bool(text).into(),
            (List(inner), YamlNode::List(items)) => {
                let mut read = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    at.push(PathSegment::Item(index));
                    read.push(self.read(&format!("{key}[{index}]"), item, inner, at));
                    at.pop();
                }
                Value::Array(read)
            }
            (Each(_) | Fields(_), YamlNode::Map(entries)) => {
                Value::Object(self.entries(key, entries, shape, at))
            }
            (expected, found) => {
                let found = match found {
                    YamlNode::Map(_) | YamlNode::List(_) => found.describe().to_owned(),
                    _ => format!("`{}`", self.document.source(at).unwrap_or_default()),
                };
                self.problem(key, at, format!("expected {}, found {found}", expected.describe()));
                Value::Null
            }
        }
    }

    fn entries(
        &mut self,
        key: &str,
        entries: &[(YamlNode, YamlNode)],
        shape: &Shape,
        at: &mut Vec<PathSegment>,
    ) -> Map<String, Value> {
        let mut map = Map::new();
        for (index, (name, value)) in entries.iter().enumerate() {
            let YamlNode::Text(name) = name else {
                at.push(PathSegment::Key(index));
                self.problem(key, at, format!("expected a name as the key, found {}", name.describe()));
                at.pop();
                continue;
            };
            let path = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            match shape.below(name) {
                Some(inner) if !map.contains_key(name) => {
                    at.push(PathSegment::Value(index));
                    let value = self.read(&path, value, inner, at);
                    at.pop();
                    map.insert(name.clone(), value);
                }
                found => {
                    let message =
                        if found.is_some() { "is given twice".to_owned() } else { unknown(name, shape) };
                    at.push(PathSegment::Key(index));
                    self.problem(&path, at, message);
                    at.pop();
                }
            }
        }
        map
    }
}

fn yaml_1_1_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" => Some(true),
        "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn unknown(name: &str, shape: &Shape) -> String {
    let known: Vec<&str> = match shape {
        Fields(fields) => fields.iter().map(|(field, _)| *field).collect(),
        _ => Vec::new(),
    };
    if let Some(meant) = nearest(name, known.iter().copied()) {
        return format!("unknown key; did you mean `{meant}`?");
    }
    let known: Vec<String> = known.iter().map(|field| format!("`{field}`")).collect();
    format!("unknown key; kind expects one of {}", known.join(", "))
}
