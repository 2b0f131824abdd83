//! Tells which names have secret values.

/// Words in a name that make its value secret.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "pass",
    "pwd",
    "pw",
    "token",
    "tokens",
    "secret",
    "secrets",
    "credential",
    "credentials",
    "creds",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "auth",
    "auths",
    "authorization",
    "cookie",
    "cookies",
    "signature",
    "sig",
    "sas",
    "jwt",
    "bearer",
    "psk",
    "dsn",
    "otp",
];
/// Substrings that make a name secret anywhere in it, as in `rootpassword`.
const SECRET_PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secretkey",
    "secretaccess",
    "accesskey",
    "apikey",
    "privatekey",
    "accountkey",
    "credential",
    "dockerconfig",
    "dockercfg",
    "connectionstring",
    "clientkeydata",
    "accesstoken",
    "authtoken",
];
/// Words that make a following `key` secret.
const KEYS: &[&str] = &[
    "api",
    "access",
    "secret",
    "private",
    "account",
    "encryption",
    "signing",
    "shared",
    "master",
    "license",
    "ssh",
    "storage",
    "session",
    "root",
    "sas",
    "hmac",
    "app",
    "auth",
    "deploy",
    "client",
    "service",
];
/// Last words of names that only tell where a secret is, or how it is used.
const HARMLESS_ENDS: &[&str] = &[
    "ref",
    "refs",
    "name",
    "names",
    "path",
    "paths",
    "file",
    "files",
    "type",
    "types",
    "version",
    "policy",
    "class",
    "enabled",
    "go",
    "disabled",
    "seconds",
    "ttl",
    "count",
    "size",
    "length",
    "mode",
    "modes",
    "provider",
    "format",
    "method",
    "dir",
    "url",
    "uri",
    "endpoint",
    "host",
    "port",
    "age",
    "expiry",
    "expires",
    "expiration",
    "algorithm",
    "issuer",
    "audience",
    "namespace",
    "optional",
    "header",
    "headers",
    "webhook",
    "required",
    "id_file",
    "store",
    "manager",
];

/// Environment variables whose values are never secret. A login in a URL is still masked in them.
const HARMLESS_VARIABLES: &[&str] = &[
    "PATH",
    "HOME",
    "HOSTNAME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "TZ",
    "PWD",
    "OLDPWD",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "SHLVL",
    "TMPDIR",
    "DEBIAN_FRONTEND",
    "container",
    "GOMAXPROCS",
    "GOGC",
    "GOMEMLIMIT",
    "GODEBUG",
    "GOTRACEBACK",
    "JAVA_HOME",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "MALLOC_CONF",
    "OMP_NUM_THREADS",
    "NODE_ENV",
    "PYTHONUNBUFFERED",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "NODE_NAME",
    "NODE_IP",
    "HOST_IP",
    "POD_NAME",
    "POD_NAMESPACE",
    "POD_IP",
    "POD_IPS",
    "POD_UID",
    "NAMESPACE",
    "MY_POD_NAME",
    "MY_POD_IP",
    "MY_POD_NAMESPACE",
    "MY_STS_NAME",
    "SERVICE_ACCOUNT",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "KUBERNETES_SERVICE_PORT_HTTPS",
    "KUBERNETES_PORT",
    "LOG_LEVEL",
    "DEBUG",
    "WATCH_NAMESPACE",
    "OPERATOR_NAME",
    "OPERATOR_NAMESPACE",
    "MILVUS_URL",
    "HOST_URL",
    "SERVER_PORT",
    "CACHE_SIZE",
    "CGO_ENABLED",
    "ETCD_ENDPOINTS",
    "MINIO_ADDRESS",
    "MINIO_ENDPOINT",
    "MINIO_BROWSER",
    "MINIO_PORT",
    "PULSAR_ADDRESS",
    "KAFKA_ADDRESS",
    "KAFKA_BROKER_LIST",
    "ALLOW_NONE_AUTHENTICATION",
    "BITNAMI_DEBUG",
    "ETCDCTL_API",
    "ETCD_NAME",
    "ETCD_DATA_DIR",
    "ETCD_LOG_LEVEL",
    "ETCD_ADVERTISE_CLIENT_URLS",
    "ETCD_LISTEN_CLIENT_URLS",
    "ETCD_LISTEN_PEER_URLS",
    "ETCD_INITIAL_CLUSTER",
    "ETCD_INITIAL_ADVERTISE_PEER_URLS",
    "ETCD_INITIAL_CLUSTER_STATE",
    "ETCD_ON_K8S",
    "ETCD_START_FROM_SNAPSHOT",
    "ETCD_DISASTER_RECOVERY",
    "ETCD_AUTO_COMPACTION_MODE",
    "ETCD_AUTO_COMPACTION_RETENTION",
    "ETCD_QUOTA_BACKEND_BYTES",
    "ETCD_HEARTBEAT_INTERVAL",
    "ETCD_ELECTION_TIMEOUT",
    "PULSAR_MEM",
    "PULSAR_GC",
    "BOOKIE_MEM",
];

/// Whether the value of `name` is secret: a JSON or YAML key, a variable, a flag or a header.
pub(super) fn is_secret(name: &str) -> bool {
    if matches!(name, "PWD" | "OLDPWD") {
        return false;
    }
    let words = words(name);
    let Some(last) = words.last() else { return false };
    if words.len() > 1 && HARMLESS_ENDS.contains(&last.as_str()) || words[0] == "checksum" {
        return false;
    }
    // These name Secrets, or tell whether to mount a token.
    if matches!(
        words.concat().as_str(),
        "imagepullsecrets" | "serviceaccounttoken" | "automountserviceaccounttoken"
    ) {
        return false;
    }
    let is_key = |pair: &[String]| {
        (matches!(pair[1].as_str(), "key" | "keys") && KEYS.contains(&pair[0].as_str()))
            || (pair[0] == "session" && pair[1] == "id")
            || (pair[0] == "connection" && pair[1] == "string")
    };
    let joined = words.concat();
    words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()))
        || words.windows(2).any(is_key)
        || SECRET_PARTS.iter().any(|part| joined.contains(part))
}

/// Whether a container's environment variable may be shown.
pub(super) fn is_harmless_variable(name: &str) -> bool {
    HARMLESS_VARIABLES.contains(&name)
}

/// Whether a name denotes environment variables: `env`, `extraEnv`, `Environment`.
pub(super) fn is_environment(name: &str) -> bool {
    words(name).iter().any(|word| matches!(word.as_str(), "env" | "envs" | "environment"))
        && !is_reference_to_environment(name)
}

fn is_reference_to_environment(name: &str) -> bool {
    words(name).last().is_some_and(|word| matches!(word.as_str(), "from" | "name" | "file"))
}

/// Splits a name into lower-case words; `AWSAccessKeyId`, `access_key-id` and `ACCESS.KEY` split alike.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, &c) in letters.iter().enumerate() {
        if !c.is_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let before = at.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(at + 1);
        // A word begins at the `K` of `accessKey` and the second `A` of `AWSAccess`.
        let begins = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_names_are_recognised_in_every_spelling() {
        for name in [
            "password",
            "PASSWORD",
            "minioRootPassword",
            "rootpassword",
            "DB_PASS",
            "DB_PWD",
            "db-pwd",
            "CLIENT_SECRET",
            "clientSecret",
            "token",
            "authToken",
            "X-Auth-Token",
            "X-Amz-Signature",
            "sig",
            "Cookie",
            "Set-Cookie",
            "Authorization",
            "auths",
            "auth",
            "AccountKey",
            "AWSAccessKeyId",
            "access_key_id",
            "secretKey",
            "api-key",
            "apiKey",
            "private_key",
            ".dockerconfigjson",
            "credentials",
            "sessionId",
            "client-key-data",
            "AZURE_STORAGE_CONNECTION_STRING",
            "passphrase",
            "MINIO_SECRET_KEY",
            "secretAccessKey",
            "etcd.auth.password",
        ] {
            assert!(is_secret(name), "{name}");
        }
    }

    #[test]
    fn other_names_are_not_secret() {
        for name in [
            "image",
            "Image ID",
            "secretRef",
            "secretName",
            "SecretName",
            "passwordFile",
            "tls-private-key-file",
            "TokenExpirationSeconds",
            "imagePullSecrets",
            "automountServiceAccountToken",
            "PWD",
            "key",
            "keys",
            "author",
            "authorization-mode",
            "authentication-token-webhook",
            "topologyKey",
            "tokenizer",
            "compass",
            "bypass-list",
            "checksum/secret",
            "kubernetes.io/hostname",
            "monkey",
            "pod-template-hash",
            "accessModes",
            "passes",
            "",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn environments_are_recognised_by_name() {
        for name in ["env", "Environment", "extraEnv", "extraEnvVars", "environment"] {
            assert!(is_environment(name), "{name}");
        }
        for name in ["envFrom", "Environment Variables from", "envoy", "inventory", "image"] {
            assert!(!is_environment(name), "{name}");
        }
    }
}
