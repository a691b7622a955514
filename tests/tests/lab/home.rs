//! The user's files from the server, as local programs have them.

use anyhow::Result;
use ldm_tests::{Client, Guest, Lab, LocalSession, wait};
use serde_json::json;

#[test]
fn local_programs_have_the_users_files() -> Result<()> {
    let lab = Lab::new()?;
    let (client, guest) = (Client::new(&lab, &[])?, Guest::new()?);
    let home = guest.home(&lab, "alice")?;
    let mut session = LocalSession::start(&lab, &client, &guest.record("alice", &home), json!({}))?;
    let socket = session.mount()?;
    let _server = guest.serve(&client, &socket, &lab.log("sftp"))?;
    session.ready()?.map_err(anyhow::Error::msg)?;
    session.shell("test \"$PWD\" = \"$HOME\" && test \"$(cat hello)\" = 'from the server'")?;
    session.end()?;
    client.wait_until_clean()?;
    let _ = wait::STEP;
    Ok(())
}
