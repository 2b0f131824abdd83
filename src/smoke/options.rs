//! The options of the smoke test and their bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::text::Secret;

/// The vector index to build; on the command line in Milvus's spelling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "`AUTOINDEX` is what Milvus calls it")]
pub enum Index {
    /// The server's choice.
    #[default]
    #[value(name = "AUTOINDEX")]
    AutoIndex,
    /// A graph; approximate.
    #[value(name = "HNSW")]
    Hnsw,
    /// Clusters, only some of which are searched; approximate.
    #[value(name = "IVF_FLAT")]
    IvfFlat,
    /// No index: every vector is compared; exact.
    #[value(name = "FLAT")]
    Flat,
}

/// The distance metric.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Metric {
    /// Cosine of the angle; larger is nearer.
    #[default]
    #[value(name = "COSINE")]
    Cosine,
    /// Squared Euclidean distance, as Milvus reports it; smaller is nearer.
    #[value(name = "L2")]
    L2,
    /// Inner product; larger is nearer.
    #[value(name = "IP")]
    Ip,
}

/// The visibility of earlier writes; `Strong` is the strictest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Consistency {
    /// Every acknowledged write is visible at once.
    #[default]
    Strong,
    /// Writes are visible after a bounded delay, five seconds by default.
    Bounded,
    /// A client's own writes are visible at once.
    Session,
    /// Writes are visible eventually.
    Eventually,
}

impl Consistency {
    /// Whether the next answer must include the client's own last write.
    #[cfg(feature = "smoke")]
    pub const fn is_immediate(self) -> bool {
        matches!(self, Self::Strong | Self::Session)
    }
}

/// How to log in to a server that requires it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// An API key, or `user:password`.
    Token(Secret),
    /// A user and a password.
    Password { user: String, password: Secret },
}

impl Login {
    /// The part of the login that must never be shown.
    #[cfg(feature = "smoke")]
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Token(secret) | Self::Password { password: secret, .. } => secret,
        }
    }
}

/// The options of a smoke test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The server: `http://HOST:PORT`, or `https://HOST:PORT` for TLS.
    pub uri: String,
    /// How to log in; `None` for a server without authentication.
    pub login: Option<Login>,
    /// The database to work in, which must exist; `None` for the default one.
    pub database: Option<String>,
    /// The number of rows to insert, within [`Options::ROWS`].
    pub rows: usize,
    /// The dimensions of a vector, within [`Options::DIM`].
    pub dim: usize,
    pub index: Index,
    /// The metric to search by.
    pub metric: Metric,
    /// The consistency level of the collection and of every read.
    pub consistency: Consistency,
    /// The seed of vectors and colours: equal seeds give equal data.
    pub seed: u64,
    /// The time limit for all steps together, excluding the final drop.
    pub timeout: Duration,
}

impl Options {
    /// Bounds of [`Options::rows`]: a search needs ten to have neighbours to rank.
    pub const ROWS: RangeInclusive<usize> = 10..=1_000_000;
    /// Bounds of [`Options::dim`]; the upper one is Milvus's own.
    pub const DIM: RangeInclusive<usize> = 2..=32_768;
    /// The maximum number of floats in all vectors together (200 MB of memory).
    pub const MOST_NUMBERS: usize = 50_000_000;

    /// The defaults for `uri`: 1,000 rows of 128 dimensions, two minutes.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            login: None,
            database: None,
            rows: 1000,
            dim: 128,
            index: Index::default(),
            metric: Metric::default(),
            consistency: Consistency::default(),
            seed: 42,
            timeout: Duration::from_secs(120),
        }
    }

    /// Validates the options.
    ///
    /// # Errors
    /// Returns the first value that is out of bounds or invalid.
    pub fn check(&self) -> Result<(), OptionsError> {
        let out_of_bounds = |name, range: &RangeInclusive<usize>, value| OptionsError::Bounds {
            name,
            low: *range.start(),
            high: *range.end(),
            value,
        };
        if !Self::ROWS.contains(&self.rows) {
            return Err(out_of_bounds("rows", &Self::ROWS, self.rows));
        }
        if !Self::DIM.contains(&self.dim) {
            return Err(out_of_bounds("dim", &Self::DIM, self.dim));
        }
        if self.rows * self.dim > Self::MOST_NUMBERS {
            return Err(OptionsError::TooMuch { rows: self.rows, dim: self.dim });
        }
        if self.timeout.is_zero() {
            return Err(OptionsError::NoTime);
        }
        Address::parse(&self.uri)?;
        Ok(())
    }
}

/// Splits the database off an address: `http://HOST:PORT/test`, as pymilvus accepts it (`Connections.connect`
/// in its `orm/connections.py`, which silently drops further segments).
///
/// Leaves an invalid database name for [`Options::check`] to reject.
pub fn without_database(uri: &str) -> (String, Option<String>) {
    let parted = || {
        let host = uri.find("://")? + 3;
        let (_, path) = uri[host..].split_once('/')?;
        let name = path.strip_suffix('/').unwrap_or(path);
        // Milvus's own rule (`ValidateDatabaseName` in its internal/proxy/util.go).
        let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_name.then(|| (uri[..uri.len() - path.len() - 1].to_owned(), Some(name.to_owned())))
    };
    parted().unwrap_or_else(|| (uri.to_owned(), None))
}

/// The database named by the address or by `given`.
///
/// # Errors
/// Fails if both name one and they differ.
pub fn one_database(in_uri: Option<String>, given: Option<String>) -> Result<Option<String>, OptionsError> {
    match (in_uri, given) {
        (Some(in_uri), Some(given)) if in_uri != given => Err(OptionsError::TwoDatabases { in_uri, given }),
        (in_uri, given) => Ok(given.or(in_uri)),
    }
}

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether to use TLS.
    pub tls: bool,
    /// The host name or IP address; IPv6 without brackets.
    pub host: String,
    pub port: u16,
}

impl Address {
    /// Parses `http://HOST:PORT` or `https://HOST:PORT`, with an optional trailing slash.
    ///
    /// # Errors
    /// Fails without scheme, host or port, with a path, and with a user or password.
    pub fn parse(uri: &str) -> Result<Self, OptionsError> {
        if uri.contains('@') {
            return Err(OptionsError::LoginInUri);
        }
        let refused = || OptionsError::Uri(uri.to_owned());
        let (scheme, rest) = uri.split_once("://").ok_or_else(refused)?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(refused()),
        };
        let (host, port) = rest.strip_suffix('/').unwrap_or(rest).rsplit_once(':').ok_or_else(refused)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/?#[]".contains(c);
        let host = match bare {
            Some(address) if address.parse::<std::net::Ipv6Addr>().is_ok() => address,
            None if !host.is_empty() && !host.contains(odd) && !host.contains(':') => host,
            _ => return Err(refused()),
        };
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(refused)?;
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

/// An invalid value in [`Options`], which is a usage error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A number is out of bounds.
    #[error("`--{name}`: expected a number from {low} to {high}, found {value}")]
    Bounds { name: &'static str, low: usize, high: usize, value: usize },
    /// The vectors would not fit into memory.
    #[error(
        "`--rows {rows}` times `--dim {dim}` is more than {most} numbers; choose fewer rows or dimensions",
        most = Options::MOST_NUMBERS
    )]
    TooMuch { rows: usize, dim: usize },
    /// The time limit is zero.
    #[error("the time limit is zero; give the smoke test at least a second")]
    NoTime,
    /// The address is invalid.
    #[error(
        "`--uri`: expected `http://HOST:PORT` or `https://HOST:PORT`, optionally followed by `/DATABASE`, found `{0}`"
    )]
    Uri(String),
    /// Address and option name different databases.
    #[error("`--uri` names the database `{in_uri}`, and `--database` names `{given}`; keep one of them")]
    TwoDatabases { in_uri: String, given: String },
    /// The address contains a login, which would end up in logs and reports.
    #[error("`--uri` contains a user or password; set them through environment variables instead")]
    LoginInUri,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_bounds() {
        assert_eq!(Options::new("http://localhost:19530").check(), Ok(()));
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        let base = || Options::new("http://localhost:19530");
        let table = [
            (Options { rows: 9, ..base() }, "`--rows`: expected a number from 10 to 1000000, found 9"),
            (Options { dim: 1, ..base() }, "`--dim`: expected a number from 2 to 32768, found 1"),
            (
                Options { rows: 1_000_000, dim: 51, ..base() },
                "`--rows 1000000` times `--dim 51` is more than 50000000 numbers; choose fewer rows or dimensions",
            ),
            (
                Options { timeout: Duration::ZERO, ..base() },
                "the time limit is zero; give the smoke test at least a second",
            ),
            (
                Options::new("localhost"),
                "`--uri`: expected `http://HOST:PORT` or `https://HOST:PORT`, optionally followed by `/DATABASE`, found `localhost`",
            ),
        ];
        for (options, message) in table {
            assert_eq!(options.check().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_path_of_an_address_is_the_database() {
        let rows = [
            ("http://h:1/test", "http://h:1", Some("test")),
            ("https://[::1]:1/a_b/", "https://[::1]:1", Some("a_b")),
            ("http://h:1", "http://h:1", None),
            ("http://h:1/", "http://h:1/", None),
            ("http://h:1/a/b", "http://h:1/a/b", None),
            ("http://h:1/1a", "http://h:1/1a", None),
            ("http://h:1/a?b", "http://h:1/a?b", None),
            ("localhost/test", "localhost/test", None),
        ];
        for (uri, address, database) in rows {
            assert_eq!(without_database(uri), (address.to_owned(), database.map(str::to_owned)), "{uri}");
        }
    }

    #[test]
    fn address_and_option_may_only_name_the_same_database() {
        let some = |name: &str| Some(name.to_owned());
        for (in_uri, given, one) in [
            (None, None, None),
            (some("a"), None, some("a")),
            (None, some("a"), some("a")),
            (some("a"), some("a"), some("a")),
        ] {
            assert_eq!(one_database(in_uri, given), Ok(one));
        }
        assert_eq!(
            one_database(some("a"), some("b")).unwrap_err().to_string(),
            "`--uri` names the database `a`, and `--database` names `b`; keep one of them"
        );
    }

    #[test]
    fn a_password_in_the_address_is_refused_without_being_repeated() {
        let error = Options::new("http://root:Milvus-42@localhost:19530").check().unwrap_err();
        assert_eq!(error, OptionsError::LoginInUri);
        assert!(!error.to_string().contains("Milvus-42"));
    }

    #[test]
    fn debug_output_hides_the_login() {
        for login in [
            Login::Token(Secret::new("s3cret")),
            Login::Password { user: "root".into(), password: Secret::new("s3cret") },
        ] {
            let options = Options { login: Some(login), ..Options::new("http://localhost:19530") };
            assert!(!format!("{options:?}").contains("s3cret"));
        }
    }

    #[test]
    fn values_are_spelled_as_milvus_spells_them() {
        use clap::ValueEnum as _;
        assert_eq!(Index::from_str("ivf_flat", true), Ok(Index::IvfFlat));
        assert_eq!(Index::from_str("AUTOINDEX", false), Ok(Index::AutoIndex));
        assert_eq!(Metric::from_str("COSINE", false), Ok(Metric::Cosine));
        assert_eq!(Consistency::from_str("eventually", false), Ok(Consistency::Eventually));
    }
}
