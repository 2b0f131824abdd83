//! Resolves the object storage: inside the cluster, or external with credentials.

use super::keys::{self, Key};
use super::origin::Origin;
use super::reader::Resolver;
use super::types::{Credentials, ExternalStorage, SecretSource, Storage, StorageType};
use super::validate;

/// The keys that only apply to external storage.
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

pub(super) fn resolve(resolver: &mut Resolver) -> Storage {
    let external = if resolver.is_set(keys::MILVUS_STORAGE_ENDPOINT) {
        external(resolver)
    } else {
        for key in EXTERNAL_ONLY {
            if resolver.is_set(*key) {
                resolver.problem(*key, "needs `milvus.storage.endpoint`".to_owned());
            }
        }
        None
    };
    Storage {
        external,
        bucket: resolver.read_optional(keys::MILVUS_STORAGE_BUCKET, validate::text),
        root_path: resolver.read_optional(keys::MILVUS_STORAGE_ROOT_PATH, validate::text),
        region: resolver.read_optional(keys::MILVUS_STORAGE_REGION, validate::text),
    }
}

fn external(resolver: &mut Resolver) -> Option<ExternalStorage> {
    let endpoint = resolver.read_optional(keys::MILVUS_STORAGE_ENDPOINT, validate::endpoint);
    let kind = resolver.word(keys::MILVUS_STORAGE_TYPE, (StorageType::S3, Origin::Default));
    let use_ssl = resolver.boolean(keys::MILVUS_STORAGE_USE_SSL, false);
    let credentials = credentials(resolver);
    Some(ExternalStorage { kind, endpoint: endpoint?, use_ssl, credentials: credentials? })
}

fn credentials(resolver: &mut Resolver) -> Option<Credentials> {
    let use_iam = resolver.boolean(keys::MILVUS_STORAGE_USE_IAM, false);
    let existing = resolver.is_set(keys::MILVUS_STORAGE_SECRET_REF);
    let access = [keys::MILVUS_STORAGE_ACCESS_KEY_ENV, keys::MILVUS_STORAGE_ACCESS_KEY_FILE];
    let secret = [keys::MILVUS_STORAGE_SECRET_KEY_ENV, keys::MILVUS_STORAGE_SECRET_KEY_FILE];
    let made = access.iter().chain(&secret).any(|key| resolver.is_set(*key));
    match (use_iam, existing, made) {
        (true, false, false) => Some(Credentials::Iam),
        (false, true, false) => resolver
            .read_optional(keys::MILVUS_STORAGE_SECRET_REF, validate::secret_name)
            .map(Credentials::Existing),
        (false, false, true) => {
            let access_key = source(resolver, access);
            let secret_key = source(resolver, secret);
            Some(Credentials::Made { access_key: access_key?, secret_key: secret_key? })
        }
        (false, false, false) => {
            let message = "Milvus has no credentials for this storage: set `accessKeyEnv` and \
                           `secretKeyEnv`, `accessKeyFile` and `secretKeyFile`, `secretRef`, or `useIAM: true`";
            resolver.problem(keys::MILVUS_STORAGE_ENDPOINT, message.to_owned());
            None
        }
        _ => {
            let message = "access keys, `secretRef` and `useIAM` exclude each other; keep one of them";
            resolver.problem(keys::MILVUS_STORAGE_ENDPOINT, message.to_owned());
            None
        }
    }
}

fn source(resolver: &mut Resolver, [variable, file]: [Key; 2]) -> Option<SecretSource> {
    let by_variable = resolver.read_optional(variable, validate::variable);
    let by_file = resolver.read_optional(file, validate::text);
    match (resolver.is_set(variable), resolver.is_set(file)) {
        (true, true) => {
            resolver.problem(variable, format!("`{}` is given too; keep one of them", file.path));
            None
        }
        (false, false) => {
            resolver.problem(variable, format!("is missing; set it, or `{}`", file.path));
            None
        }
        (true, false) => by_variable.map(SecretSource::Environment),
        (false, true) => by_file.map(|path| SecretSource::File(path.into())),
    }
}
