//! Proxies from the environment.

use std::fmt;

use super::address::{in_network, is_this_machine, split_port};
use crate::text::without_logins;

/// The environment's proxies, as curl and Go read them.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    except: Vec<String>,
}

impl fmt::Debug for Proxies {
    /// Hides logins in the addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |url: &Option<String>| url.as_deref().map(without_logins);
        f.debug_struct("Proxies")
            .field("http", &shown(&self.http))
            .field("https", &shown(&self.https))
            .field("except", &self.except)
            .finish()
    }
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case, from `var`.
    ///
    /// # Errors
    /// Fails if one of them is not a valid proxy address.
    pub fn from(var: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let either = |name: &str| {
            let lower = name.to_lowercase();
            let found =
                [name, lower.as_str()].into_iter().find_map(|name| Some((name.to_owned(), var(name)?)));
            found.filter(|(_, value)| !value.trim().is_empty())
        };
        let proxy = |name: &str| match either(name) {
            // Do not repeat the address; it may contain a login.
            Some((name, url)) if ureq::Proxy::new(&url).is_err() => {
                Err(format!("`{name}` is not a valid proxy address"))
            }
            found => Ok(found.map(|(_, url)| url)),
        };
        let all = proxy("ALL_PROXY")?;
        let except = either("NO_PROXY").map(|(_, hosts)| hosts).unwrap_or_default();
        Ok(Self {
            http: proxy("HTTP_PROXY")?.or_else(|| all.clone()),
            https: proxy("HTTPS_PROXY")?.or(all),
            except: except.split(',').map(|entry| entry.trim().to_lowercase()).collect(),
        })
    }

    /// Returns the proxy address for `host`, which may include a port.
    pub(super) fn of(&self, plain: bool, host: &str) -> Option<&str> {
        let proxy = if plain { &self.http } else { &self.https };
        proxy.as_deref().filter(|_| !self.bypasses(host))
    }

    /// Tells whether to reach `host` without a proxy: this machine, and what `NO_PROXY` names by Go's rules.
    fn bypasses(&self, host: &str) -> bool {
        let (bare, port) = split_port(host);
        let bare = bare.to_lowercase();
        is_this_machine(host)
            || self.except.iter().any(|entry| {
                let (entry, wanted) =
                    if entry.contains('/') { (entry.as_str(), None) } else { split_port(entry) };
                if wanted.is_some() && wanted != port || entry.is_empty() {
                    return false;
                }
                let domain = entry.trim_start_matches('*').trim_start_matches('.');
                entry == "*"
                    || in_network(&bare, entry)
                    || bare == domain && !entry.starts_with('.')
                    || bare.strip_suffix(domain).is_some_and(|before| before.ends_with('.'))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        let proxies = |except: &str| {
            let vars = [("https_proxy", "http://p:1"), ("NO_PROXY", except)];
            let var = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            Proxies::from(var).unwrap()
        };
        let rows = [
            ("", "r.example.com", false),
            ("example.com", "r.example.com", true),
            ("example.com", "example.com:5000", true),
            (".example.com", "example.com", false),
            (".example.com", "r.example.com", true),
            ("*.example.com", "r.example.com", true),
            ("example.com:443", "r.example.com:5000", false),
            ("10.0.0.0/8", "10.1.2.3:5000", true),
            ("10.0.0.0/8", "11.1.2.3:5000", false),
            ("fd00::/8", "[fd00::1]:5000", true),
            ("*", "r.example.com", true),
            ("", "localhost:5000", true),
            ("", "127.8.0.1:5000", true),
            ("", "[::1]:5000", true),
            ("ample.com", "example.com", false),
        ];
        for (except, host, expected) in rows {
            assert_eq!(proxies(except).bypasses(host), expected, "{except} {host}");
        }
        assert_eq!(proxies("").of(false, "a.b"), Some("http://p:1"));
        assert_eq!(proxies("").of(true, "a.b"), None);
    }

    #[test]
    fn an_invalid_proxy_is_an_error_that_hides_its_login() {
        let var = |name: &str| (name == "https_proxy").then(|| "ftp://user:secret@p:1".to_owned());
        assert_eq!(Proxies::from(var).unwrap_err(), "`https_proxy` is not a valid proxy address");
    }

    #[test]
    fn debug_hides_a_proxy_login() {
        let var = |name: &str| (name == "HTTPS_PROXY").then(|| "http://user:hunter2@p:1".to_owned());
        let shown = format!("{:?}", Proxies::from(var).unwrap());
        assert!(shown.contains("@p:1") && !shown.contains("hunter2"), "{shown}");
    }
}
