//! A role as a container is started: by its arguments and its environment, on free ports.

use super::{Port, Start};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::net::SocketAddr;

const ROLES: [&str; 4] = ["run", "recorder", "gateway", "capture"];
/// In the order in which roles say where they listen.
const PORTS: [Port; 4] = [Port::Http, Port::Grpc, Port::Sources, Port::Ops];

impl Port {
    const fn variable(self) -> &'static str {
        match self {
            Self::Http => "LIVETAPE_HTTP_ADDR",
            Self::Grpc => "LIVETAPE_GRPC_ADDR",
            Self::Sources => "LIVETAPE_SOURCE_ADDR",
            Self::Ops => "LIVETAPE_OPS_ADDR",
        }
    }
}

impl Start {
    /// As these arguments and this environment say. The addresses in it are taken as they are, but for their ports.
    ///
    /// # Errors
    /// When it is no role, or an address is none.
    pub fn container(args: &[String], environment: &BTreeMap<String, String>) -> Result<Self> {
        let (role, args) = args.split_first().context("a role")?;
        let known = ROLES.into_iter().find(|known| *known == role.as_str());
        let role = known.with_context(|| format!("{role} is no role"))?;
        let mut start = Self::role(role, &[]).args(args.iter().cloned());
        for port in PORTS {
            if let Some(said) = environment.get(port.variable()) {
                let wrong = || format!("{}={said}", port.variable());
                let address: SocketAddr = said.parse().with_context(wrong)?;
                start.addresses.push((port, SocketAddr::new(address.ip(), 0)));
            }
        }
        let ports = PORTS.map(Port::variable);
        let others = environment.iter().filter(|(name, _)| !ports.contains(&name.as_str()));
        Ok(others.fold(start, |start, (name, value)| start.env(name, value)))
    }
}
