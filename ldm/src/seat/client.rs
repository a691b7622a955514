//! The greeter's requests that are about the client and not about a login.

use ldm_protocol::greetd::Request;

use super::Seat;

impl Seat {
    #[allow(clippy::needless_pass_by_value)] // requests are consumed where they are obeyed
    pub(super) fn client_request(&mut self, request: Request) {
        match request {
            Request::LdmServers
            | Request::LdmServer { .. }
            | Request::LdmMenu { .. }
            | Request::LdmPower { .. }
            | Request::LdmFacts
            | Request::LdmSoundTest
            | Request::LdmAccess { .. }
            | Request::LdmLayout { .. } => self.misused("not offered"),
            _ => {}
        }
    }
}
