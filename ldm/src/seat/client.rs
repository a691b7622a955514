//! The greeter's requests that are about the client and not about a login.

use ldm_protocol::greetd::{Request, Response};

use super::{Action, Seat};

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
            | Request::LdmLayout { .. } => self.misused("not offered"),
            Request::LdmAccess { access } => {
                self.policy.facts.access = access;
                self.act(Action::SetAccess(access));
                self.act(Action::Reply(Response::Success));
            }
            _ => {}
        }
    }
}
