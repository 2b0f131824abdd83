//! Finds the position of a value in the text.

use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One step from a value to a value inside it; indexes start at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathSegment {
    /// The key of a mapping entry.
    Key(usize),
    /// The value of a mapping entry.
    Value(usize),
    /// A sequence item.
    Item(usize),
}

/// Reads up to the value at `path` and fails there, so that the error carries its position.
pub(super) struct StopAt<'p> {
    pub(super) path: &'p [PathSegment],
}

impl<'de> DeserializeSeed<'de> for StopAt<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl StopAt<'_> {
    fn here<E: de::Error, T>(&self) -> Result<T, E> {
        Err(E::custom(if self.path.is_empty() { "here" } else { "nothing here" }))
    }
}

impl<'de> Visitor<'de> for StopAt<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value to locate")
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.here()
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.here()
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.here()
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.here()
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.here()
    }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.here()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((PathSegment::Item(wanted), rest)) = self.path.split_first() else { return self.here() };
        for _ in 0..*wanted {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(StopAt { path: rest })?;
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.path.split_first() else { return self.here() };
        let (wanted, is_key) = match step {
            PathSegment::Key(entry) => (*entry, true),
            PathSegment::Value(entry) => (*entry, false),
            PathSegment::Item(_) => return self.here(),
        };
        for _ in 0..wanted {
            if entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        // serde_yaml panics if asked for a value after the last key.
        if is_key {
            entries.next_key_seed(StopAt { path: rest })?;
        } else if entries.next_key::<IgnoredAny>()?.is_some() {
            entries.next_value_seed(StopAt { path: rest })?;
        }
        Ok(())
    }
}
