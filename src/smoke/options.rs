//! What a smoke test is asked to do, and the bounds within which it can.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::text::Secret;

/// The kind of vector index to build, in Milvus's own spelling on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "`AUTOINDEX` is what Milvus calls it")]
pub enum Index {
    /// What the server thinks best.
    #[default]
    #[value(name = "AUTOINDEX")]
    AutoIndex,
    /// A graph; approximate.
    #[value(name = "HNSW")]
    Hnsw,
    /// Clusters of which some are searched; approximate.
    #[value(name = "IVF_FLAT")]
    IvfFlat,
    /// No index: every vector is compared; exact.
    #[value(name = "FLAT")]
    Flat,
}

/// How the distance of two vectors is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Metric {
    /// Cosine of the angle; more is nearer.
    #[default]
    #[value(name = "COSINE")]
    Cosine,
    /// Squared Euclidean distance, as Milvus reports it; less is nearer.
    #[value(name = "L2")]
    L2,
    /// Inner product; more is nearer.
    #[value(name = "IP")]
    Ip,
}

/// What a reader is promised about earlier writes (`Strong` is the strictest).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Consistency {
    /// Every write that was acknowledged is seen at once.
    #[default]
    Strong,
    /// Writes are seen after a bounded delay, five seconds by Milvus's defaults.
    Bounded,
    /// One's own writes are seen at once.
    Session,
    /// Writes are seen at some time.
    Eventually,
}

impl Consistency {
    /// Whether the client must see its own last write in the very next answer.
    #[cfg(feature = "smoke")]
    pub const fn is_immediate(self) -> bool {
        matches!(self, Self::Strong | Self::Session)
    }
}

/// How to log in to a server that asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// An API key, or `user:password`.
    Token(Secret),
    /// A user and a password.
    Password { user: String, password: Secret },
}

impl Login {
    /// The part of the login that must not appear anywhere.
    #[cfg(feature = "smoke")]
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Token(secret) | Self::Password { password: secret, .. } => secret,
        }
    }
}

/// What a smoke test is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the server answers: `http://HOST:PORT`, or `https://HOST:PORT` for TLS.
    pub uri: String,
    /// How to log in; `None` for a server that does not ask.
    pub login: Option<Login>,
    /// The database to work in, which must exist; `None` for the default one.
    pub database: Option<String>,
    /// How many rows to insert, within [`Options::ROWS`].
    pub rows: usize,
    /// How many dimensions a vector has, within [`Options::DIM`].
    pub dim: usize,
    pub index: Index,
    /// The metric to search by.
    pub metric: Metric,
    /// The consistency level of the collection and of every read.
    pub consistency: Consistency,
    /// What the vectors and colours follow from: equal seeds give equal data.
    pub seed: u64,
    /// How long all steps together may take, the drop at the end not counted.
    pub timeout: Duration,
}

impl Options {
    /// Bounds of [`Options::rows`]: ten are needed for a search that has neighbours to rank.
    pub const ROWS: RangeInclusive<usize> = 10..=1_000_000;
    /// Bounds of [`Options::dim`]; the upper one is Milvus's own.
    pub const DIM: RangeInclusive<usize> = 2..=32_768;
    /// The most numbers that all vectors together may have (200 MB of memory).
    pub const MOST_NUMBERS: usize = 50_000_000;

    /// The defaults for a server at `uri`: 1,000 rows of 128 dimensions, two minutes.
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

    /// Says what is wrong with the values, if anything.
    ///
    /// # Errors
    /// Fails with the first value that is out of its bounds or cannot be understood.
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

/// Parts the database off an address: `http://HOST:PORT/test`, as pymilvus takes it (`Connections.connect` in its
/// `orm/connections.py`, which drops further segments silently).
///
/// What is no name of a database stays, for [`Options::check`] to refuse.
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

/// The one database that is named, by the address or on its own.
///
/// # Errors
/// Fails when both name one and they differ.
pub fn one_database(in_uri: Option<String>, given: Option<String>) -> Result<Option<String>, OptionsError> {
    match (in_uri, given) {
        (Some(in_uri), Some(given)) if in_uri != given => Err(OptionsError::TwoDatabases { in_uri, given }),
        (in_uri, given) => Ok(given.or(in_uri)),
    }
}

/// An address that a client can be pointed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether the connection is to be encrypted.
    pub tls: bool,
    /// Name or IP address of the host; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
}

impl Address {
    /// Reads `http://HOST:PORT` or `https://HOST:PORT`; a slash at the end is tolerated.
    ///
    /// # Errors
    /// Fails without a scheme, host or port, with a path, and with a user or password in it.
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

/// A value of [`Options`] that cannot be carried out; a mistake in the usage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A number is out of its bounds.
    #[error("`--{name}`: expected a number from {low} to {high}, found {value}")]
    Bounds { name: &'static str, low: usize, high: usize, value: usize },
    /// The vectors together would not fit.
    #[error(
        "`--rows {rows}` times `--dim {dim}` is more than {most} numbers; choose fewer rows or dimensions",
        most = Options::MOST_NUMBERS
    )]
    TooMuch { rows: usize, dim: usize },
    /// There is no time to do anything.
    #[error("the time limit is zero; give the smoke test at least a second")]
    NoTime,
    /// The address is not one.
    #[error(
        "`--uri`: expected `http://HOST:PORT` or `https://HOST:PORT`, with `/DATABASE` behind it or without, found `{0}`"
    )]
    Uri(String),
    /// Address and option name different databases.
    #[error("`--uri` names the database `{in_uri}`, and `--database` names `{given}`; leave one of them out")]
    TwoDatabases { in_uri: String, given: String },
    /// The address holds a login, which would end up in logs and reports.
    #[error("`--uri` holds a user or password; give them by environment variable instead")]
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
                "`--uri`: expected `http://HOST:PORT` or `https://HOST:PORT`, with `/DATABASE` behind it or without, found `localhost`",
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
    fn an_address_and_an_option_may_name_the_same_database_only() {
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
            "`--uri` names the database `a`, and `--database` names `b`; leave one of them out"
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
