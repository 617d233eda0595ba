use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{AddressRules, is_public};

/// The addresses of a name; nothing is no such name.
type LookUp = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

/// Where names are looked up.
pub(super) enum Names {
    /// As the operating system does it.
    System,
    /// By asking this each time.
    Given(Box<LookUp>),
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Given(_) => "Given",
        })
    }
}

/// The name led to addresses that may not be called, and to no other.
#[derive(Debug, thiserror::Error)]
#[error("the name points to an address that is not public")]
pub(super) struct AddressRefused;

/// Looks names up and hands only permitted addresses to the connector. What was checked is what is dialled: no second
/// lookup happens in between, which a hostile name server could answer differently.
#[derive(Clone, Debug)]
pub(super) struct CheckedResolver {
    rules: AddressRules,
    names: Arc<Names>,
}

impl CheckedResolver {
    pub(super) fn new(rules: AddressRules, names: Names) -> Self {
        Self { rules, names: Arc::new(names) }
    }

    async fn lookup(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        match &*self.names {
            // Port 0 lets the connector put in the URL's own.
            Names::System => Ok(tokio::net::lookup_host((name, 0)).await?.collect()),
            Names::Given(look_up) => {
                let found = look_up(name);
                if found.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "no such name"));
                }
                Ok(found.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
            }
        }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let mut addresses = this.lookup(name.as_str()).await?;
            if this.rules == AddressRules::PublicOnly {
                addresses.retain(|address| is_public(address.ip()));
                if addresses.is_empty() {
                    return Err(AddressRefused.into());
                }
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
