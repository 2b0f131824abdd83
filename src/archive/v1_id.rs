//! Identifies the layer in an old archive's `<id>/layer.tar` before its first byte is read.
//!
//! Docker up to 24 names layers by identifiers from its first image format. An identifier is the digest of
//! the layer's `json` file with the fields `id` and `parent` replaced by `layer_id`, the layer's chain ID,
//! and by the parent's full identifier (`v1.CreateID` in moby's `image/v1/imagev1.go`). `json` precedes
//! `layer.tar`, so a chain ID known from `docker image inspect` can be inserted and the digests compared: if
//! they match, the directory holds the layer with that chain ID.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::digest::Digest;

/// A layer that the archive may hold: its place in an image, and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerIds {
    chain_id: Digest,
    diff_id: Digest,
}

/// Returns a candidate for each layer of an image, given its layers' diff IDs from the bottom up.
///
/// A layer's chain ID covers its own diff ID and all below (OCI image specification, `config.md`).
pub(super) fn candidates(diff_ids: &[Digest]) -> Vec<LayerIds> {
    let mut below: Option<Digest> = None;
    let place = |&diff_id: &Digest| {
        let chain_id = below.map_or(diff_id, |below| Digest::of(format!("{below} {diff_id}").as_bytes()));
        below = Some(chain_id);
        LayerIds { chain_id, diff_id }
    };
    diff_ids.iter().map(place).collect()
}

/// Returns the diff ID of the layer in directory `id`, or `None` if no candidate matches.
///
/// `json` is the directory's `json` file.
pub(super) fn diff_id(id: &str, json: &[u8], candidates: &[LayerIds]) -> Option<Digest> {
    let id = Digest::from_hex(id)?;
    // Go marshals maps with sorted keys and raw values unchanged; so does this.
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(json).ok()?;
    fields.remove("id");
    if let Some(parent) = fields.get("parent") {
        let parent = Digest::from_hex(&serde_json::from_str::<String>(parent.get()).ok()?)?;
        fields.insert("parent".to_owned(), quoted(parent)?);
    }
    // For all but the top layer, `os` was added after the identifier was computed (moby's
    // `image/tarexport/save.go`).
    diff_id_of(id, &mut fields, candidates).or_else(|| {
        fields.remove("os")?;
        diff_id_of(id, &mut fields, candidates)
    })
}

fn diff_id_of(
    id: Digest,
    fields: &mut BTreeMap<String, Box<RawValue>>,
    candidates: &[LayerIds],
) -> Option<Digest> {
    candidates.iter().find_map(|candidate| {
        fields.insert("layer_id".to_owned(), quoted(candidate.chain_id)?);
        let hashed = serde_json::to_vec(fields).ok()?;
        (Digest::of(&hashed) == id).then_some(candidate.diff_id)
    })
}

fn quoted(digest: Digest) -> Option<Box<RawValue>> {
    RawValue::from_string(format!("\"{digest}\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest::of(&[byte])
    }

    #[test]
    fn chain_id_covers_the_layers_below() {
        let places = candidates(&[digest(1), digest(2)]);
        let above = Digest::of(format!("{} {}", digest(1), digest(2)).as_bytes());
        assert_eq!(places[0], LayerIds { chain_id: digest(1), diff_id: digest(1) });
        assert_eq!(places[1], LayerIds { chain_id: above, diff_id: digest(2) });
    }

    #[test]
    fn identifier_proves_the_layer() {
        let hashed = format!(r#"{{"created":"x","layer_id":"{}","parent":"{}"}}"#, digest(1), digest(9));
        let id = Digest::of(hashed.as_bytes()).hex();
        for os in ["", r#","os":"linux""#] {
            let json = format!(r#"{{"id":"{id}","parent":"{}","created":"x"{os}}}"#, digest(9).hex());
            assert_eq!(diff_id(&id, json.as_bytes(), &candidates(&[digest(1), digest(2)])), Some(digest(1)));
            assert_eq!(diff_id(&id, json.as_bytes(), &candidates(&[digest(2)])), None);
        }
    }

    #[test]
    fn what_cannot_be_proved_stays_unknown() {
        let places = candidates(&[digest(1)]);
        let id = digest(3).hex();
        for json in ["", "[]", "{}", r#"{"parent":7}"#, r#"{"parent":"short"}"#] {
            assert_eq!(diff_id(&id, json.as_bytes(), &places), None);
        }
        assert_eq!(diff_id("layers", b"{}", &places), None);
    }
}
