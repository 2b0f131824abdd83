//! Root and client certificates.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ureq::tls::{Certificate, ClientCert, PemItem, parse_pem};

/// The contents of `certs.d/<host>/`: `*.crt` are roots, `x.cert` with `x.key` is a client certificate.
#[derive(Default)]
pub(super) struct HostCertificates {
    pub(super) roots: Vec<Certificate<'static>>,
    pub(super) client: Option<ClientCert>,
}

impl HostCertificates {
    /// Reads them like Docker, which also fails on an unreadable file and on a certificate without its key.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let mut found = Self::default();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(unreadable(folder, &error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| unreadable(folder, &error))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => found.roots.extend(certificates(&path)?),
                Some("cert") => {
                    let file = path.with_extension("key");
                    let pem = std::fs::read(&file).map_err(|error| unreadable(&file, &error))?;
                    let key = ureq::tls::PrivateKey::from_pem(&pem)
                        .map_err(|_| format!("`{}` contains no private key", file.display()))?;
                    found.client = Some(ClientCert::new_with_certs(&certificates(&path)?, key));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    pub(super) fn and(mut self, other: Self) -> Self {
        self.roots.extend(other.roots);
        Self { roots: self.roots, client: self.client.or(other.client) }
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let found: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() { Err(format!("`{}` contains no certificate", path.display())) } else { Ok(found) }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("could not read `{}`: {error}", path.display())
}

/// The root certificates this machine trusts.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    /// From the variables, or else from the system, read on first use.
    found: Arc<OnceLock<Vec<Certificate<'static>>>>,
}

impl Roots {
    /// Reads the file and folders in `SSL_CERT_FILE` and `SSL_CERT_DIR`, like OpenSSL, Go and curl. If
    /// neither is set, uses the system's roots, once needed.
    ///
    /// # Errors
    /// Fails if the file is unreadable or has no certificate, and if no folder has any and one is unreadable.
    pub fn from(var: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let set = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let (file, folders) = (set("SSL_CERT_FILE"), set("SSL_CERT_DIR"));
        if file.is_none() && folders.is_none() {
            return Ok(Self::default());
        }
        let why = |name: &str, path: &Path, error: &rustls_native_certs::Error| {
            format!("could not read `{}`, set by `{name}`: {error}", path.display())
        };
        let mut found = Vec::new();
        if let Some(path) = &file {
            let loaded = rustls_native_certs::load_certs_from_paths(Some(path), None);
            if let Some(error) = loaded.errors.first() {
                return Err(why("SSL_CERT_FILE", path, error));
            }
            if loaded.certs.is_empty() {
                return Err(format!("`{}`, set by `SSL_CERT_FILE`, contains no certificate", path.display()));
            }
            found.extend(loaded.certs);
        }
        // Lists often name folders that some systems lack, and folders may contain dangling links.
        let mut unread = None;
        let folders = folders.iter().flat_map(|list| std::env::split_paths(list).collect::<Vec<_>>());
        let held = found.len();
        for path in folders.filter(|path| !path.as_os_str().is_empty()) {
            let loaded = rustls_native_certs::load_certs_from_paths(None, Some(&path));
            unread = unread.or_else(|| Some(why("SSL_CERT_DIR", &path, loaded.errors.first()?)));
            found.extend(loaded.certs);
        }
        if let Some(why) = unread.filter(|_| found.len() == held) {
            return Err(why);
        }
        let found =
            found.iter().map(|cert| Certificate::from_der(cert.as_ref()).to_owned()).collect::<Vec<_>>();
        Ok(Self { found: Arc::new(found.into()) })
    }

    pub(super) fn read(&self) -> &[Certificate<'static>] {
        self.found.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs().certs;
            found.iter().map(|cert| Certificate::from_der(cert.as_ref()).to_owned()).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_certificate_file_is_named_with_its_variable() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent.pem").display().to_string();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let empty = empty.display().to_string();
        let why = |name: &'static str, path: &str| {
            Roots::from(|asked| (asked == name).then(|| OsString::from(path))).map(drop).unwrap_err()
        };
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            let why = why(name, &absent);
            let begins = format!("could not read `{absent}`, set by `{name}`: ");
            assert!(why.starts_with(&begins) && why.contains("No such file or directory"), "{why}");
        }
        let holds_none = format!("`{empty}`, set by `SSL_CERT_FILE`, contains no certificate");
        assert_eq!(why("SSL_CERT_FILE", &empty), holds_none);
        assert!(Roots::from(|_| None).is_ok());
    }

    #[test]
    fn certificates_of_docker_are_read_or_reported_as_unreadable() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("r.example.com");
        let read = || HostCertificates::read(&host).map(drop);
        assert_eq!(read(), Ok(()));
        std::fs::create_dir(&host).unwrap();
        std::fs::write(host.join("ca.crt"), "none").unwrap();
        assert_eq!(read(), Err(format!("`{}` contains no certificate", host.join("ca.crt").display())));
        std::fs::remove_file(host.join("ca.crt")).unwrap();
        std::fs::write(host.join("us.cert"), "none").unwrap();
        let why = read().unwrap_err();
        assert!(why.starts_with(&format!("could not read `{}`: ", host.join("us.key").display())), "{why}");
    }
}
