//! Resolves the object storage: within the cluster, or outside with a way to prove oneself.

use super::keys::{self, Key};
use super::origin::Origin;
use super::reader::Resolver;
use super::types::{Credentials, ExternalStorage, SecretSource, Storage, StorageType};
use super::validate;

/// The keys that only make sense for a storage outside the cluster.
const EXTERNAL_ONLY: &[Key] = &[
    keys::MILVUS_STORAGE_TYPE,
    keys::MILVUS_STORAGE_USE_SSL,
    keys::MILVUS_STORAGE_USE_IAM,
    keys::MILVUS_STORAGE_SECRET_REF,
    keys::MILVUS_STORAGE_ACCESS_KEY_ENV,
    keys::MILVUS_STORAGE_SECRET_KEY_ENV,
    keys::MILVUS_STORAGE_ACCESS_KEY_FILE,
    keys::MILVUS_STORAGE_SECRET_KEY_FILE,
];

pub(super) fn resolve(from: &mut Resolver) -> Storage {
    let external = if from.is_said(keys::MILVUS_STORAGE_ENDPOINT) {
        external(from)
    } else {
        for key in EXTERNAL_ONLY {
            if from.is_said(*key) {
                from.problem(*key, "needs `milvus.storage.endpoint`".to_owned());
            }
        }
        None
    };
    Storage {
        external,
        bucket: from.read_optional(keys::MILVUS_STORAGE_BUCKET, validate::text),
        root_path: from.read_optional(keys::MILVUS_STORAGE_ROOT_PATH, validate::text),
        region: from.read_optional(keys::MILVUS_STORAGE_REGION, validate::text),
    }
}

fn external(from: &mut Resolver) -> Option<ExternalStorage> {
    let endpoint = from.read_optional(keys::MILVUS_STORAGE_ENDPOINT, validate::endpoint);
    let kind = from.word(keys::MILVUS_STORAGE_TYPE, (StorageType::S3, Origin::Default));
    let use_ssl = from.truth(keys::MILVUS_STORAGE_USE_SSL, false);
    let credentials = credentials(from);
    Some(ExternalStorage { kind, endpoint: endpoint?, use_ssl, credentials: credentials? })
}

fn credentials(from: &mut Resolver) -> Option<Credentials> {
    let use_iam = from.truth(keys::MILVUS_STORAGE_USE_IAM, false);
    let existing = from.is_said(keys::MILVUS_STORAGE_SECRET_REF);
    let access = [keys::MILVUS_STORAGE_ACCESS_KEY_ENV, keys::MILVUS_STORAGE_ACCESS_KEY_FILE];
    let secret = [keys::MILVUS_STORAGE_SECRET_KEY_ENV, keys::MILVUS_STORAGE_SECRET_KEY_FILE];
    let made = access.iter().chain(&secret).any(|key| from.is_said(*key));
    match (use_iam, existing, made) {
        (true, false, false) => Some(Credentials::Iam),
        (false, true, false) => from
            .read_optional(keys::MILVUS_STORAGE_SECRET_REF, validate::secret_name)
            .map(Credentials::Existing),
        (false, false, true) => {
            let access_key = source(from, access);
            let secret_key = source(from, secret);
            Some(Credentials::Made { access_key: access_key?, secret_key: secret_key? })
        }
        (false, false, false) => {
            let message = "Milvus has no credentials for this storage: set `accessKeyEnv` and \
                           `secretKeyEnv`, `accessKeyFile` and `secretKeyFile`, `secretRef`, or `useIAM: true`";
            from.problem(keys::MILVUS_STORAGE_ENDPOINT, message.to_owned());
            None
        }
        _ => {
            let message = "access keys, `secretRef` and `useIAM` exclude each other; keep one of them";
            from.problem(keys::MILVUS_STORAGE_ENDPOINT, message.to_owned());
            None
        }
    }
}

fn source(from: &mut Resolver, [variable, file]: [Key; 2]) -> Option<SecretSource> {
    let by_variable = from.read_optional(variable, validate::variable);
    let by_file = from.read_optional(file, validate::text);
    match (from.is_said(variable), from.is_said(file)) {
        (true, true) => {
            from.problem(variable, format!("`{}` is given too; keep one of them", file.path));
            None
        }
        (false, false) => {
            from.problem(variable, format!("is missing; set it, or `{}`", file.path));
            None
        }
        (true, false) => by_variable.map(SecretSource::Environment),
        (false, true) => by_file.map(|path| SecretSource::File(path.into())),
    }
}
