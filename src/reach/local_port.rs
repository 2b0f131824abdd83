//! Local ports to listen on: checks a given one, or finds a free one.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::Context as _;

use crate::error::{Exit, Failure, Note};
use crate::machine::PortState;
use crate::machine::ports::observe_port;

/// Parses the address that the user wants to listen on.
///
/// # Errors
/// Fails with [`Exit::Usage`] when it is not an IP address.
pub(crate) fn parse_address(text: &str) -> anyhow::Result<IpAddr> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.trim_matches(['[', ']']).parse().map_err(|_| {
        Failure::new(
            Exit::Usage,
            format!("--address: expected an IP address of this machine, found `{text}`"),
        )
        .into()
    })
}

/// Checks that `port` of `address` is free; 0 means any port.
///
/// # Errors
/// Fails with [`Exit::Usage`] when it is not, naming who has it.
pub(crate) fn check_port(address: IpAddr, port: u16) -> anyhow::Result<()> {
    let usage = |message: String| Err(Failure::new(Exit::Usage, message).into());
    match observe_port(Path::new("/"), address, port).state {
        PortState::Free => Ok(()),
        PortState::NoSuchAddress => {
            usage(format!("--address: this machine does not have the address `{address}`"))
        }
        PortState::Published(container) => usage(format!(
            "port {port} of `{address}` is in use by the container `{container}`; choose another with `--port`, \
             or any with `--port 0`"
        )),
        PortState::Taken(holders) => {
            let who: Vec<_> =
                holders.iter().map(|who| format!("`{}` (process {})", who.name, who.pid)).collect();
            let who = if who.is_empty() { String::new() } else { format!(" by {}", who.join(", ")) };
            usage(format!(
                "port {port} of `{address}` is in use{who}; choose another with `--port`, or any with `--port 0`"
            ))
        }
    }
}

/// Finds a free local port on `address`.
///
/// # Errors
/// Fails with [`Exit::Usage`] when this machine lacks the address.
pub(crate) fn free_port(address: &str) -> anyhow::Result<u16> {
    let listener = TcpListener::bind((address, 0))
        .with_context(|| format!("could not listen on address `{address}`"))
        .exit(Exit::Usage)?;
    Ok(listener.local_addr().context("could not read the assigned port")?.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_of;

    #[test]
    fn an_invalid_address_is_a_usage_error() {
        for text in ["", "example.org", "1.2.3", "127.0.0.1:80"] {
            assert_eq!(exit_of(&parse_address(text).unwrap_err()), Exit::Usage, "{text}");
        }
        assert_eq!(parse_address("[::1]").unwrap().to_string(), "::1");
        assert_eq!(parse_address("localhost").unwrap().to_string(), "127.0.0.1");
    }

    #[test]
    fn a_port_in_use_is_a_usage_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = check_port(Ipv4Addr::LOCALHOST.into(), port).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        assert!(error.to_string().contains(&format!("port {port} of `127.0.0.1` is in use")), "{error}");
        drop(listener);
        check_port(Ipv4Addr::LOCALHOST.into(), port).unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_a_usage_error() {
        // 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
        let error = check_port("192.0.2.1".parse().unwrap(), 19530).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        assert_eq!(error.to_string(), "--address: this machine does not have the address `192.0.2.1`");
    }
}
