//! Facts about this client that the session may want to know.

use std::net::IpAddr;

use ldm_protocol::helper::Client;

/// The facts, as seen from the connection whose local address is `address`.
pub(super) fn facts(address: Option<IpAddr>) -> Client {
    Client {
        address: address.map(|a| a.to_string()),
        hostname: Some(crate::sys::hostname()).filter(|name| !name.is_empty()),
        mac: address.and_then(interface).and_then(|name| crate::sys::hardware_address(&name)),
    }
}

/// The interface that has this address.
fn interface(address: IpAddr) -> Option<String> {
    let has = |interface: &nix::ifaddrs::InterfaceAddress| {
        let storage = interface.address.as_ref()?;
        let ip = match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::V4(v4.ip()),
            (_, Some(v6)) => IpAddr::V6(v6.ip()),
            _ => return None,
        };
        (ip == address).then(|| interface.interface_name.clone())
    };
    nix::ifaddrs::getifaddrs().ok()?.find_map(|interface| has(&interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_an_interface_without_hardware_address() {
        let address = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(interface(address).as_deref(), Some("lo"));
        let facts = facts(Some(address));
        assert_eq!((facts.address.as_deref(), facts.mac), (Some("127.0.0.1"), None));
        assert_eq!(interface(IpAddr::from([192, 0, 2, 255])), None);
    }
}
