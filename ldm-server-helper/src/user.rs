//! Who the user is, as this server has it: for programs that run on the client under the same name and numbers.

use std::ffi::CString;

use ldm_protocol::helper::{Group, UserRecord};
use ldm_protocol::{limits, text};
use nix::unistd::{Gid, Uid, User, getgid, getgrouplist, getgroups, getuid};

/// Bytes of all groups' names together. Directories have users with hundreds of groups.
const NAMES: usize = 12 * 1024;

/// The record of who runs this, with the groups that fit. `None` if the system does not know them.
pub fn record() -> Option<UserRecord> {
    of(getuid())
}

/// The record of who runs this with all of their groups: those of the user, and those of this very process, which PAM may have
/// given more. `None` if one of them cannot be told: who is in a group may be kept out for it.
pub fn complete() -> Option<UserRecord> {
    let user = User::from_uid(getuid()).ok()??;
    let mut gids = getgrouplist(&CString::new(user.name.as_str()).ok()?, user.gid).ok()?;
    gids.extend(getgroups().ok()?);
    gids.push(getgid());
    gids.retain(|gid| *gid != user.gid);
    gids.sort_unstable_by_key(|gid| gid.as_raw());
    gids.dedup();
    if gids.len() > limits::GROUPS {
        return None;
    }
    let groups = gids.into_iter().map(named).collect::<Option<_>>()?;
    let record = UserRecord { group: named(user.gid)?, groups, ..alone(user)? };
    record.is_bounded().then_some(record)
}

/// The record of a user without groups.
fn alone(user: User) -> Option<UserRecord> {
    let gecos = user.gecos.to_string_lossy();
    let real_name = gecos.split(',').next().unwrap_or_default();
    Some(UserRecord {
        real_name: text::sanitise_line(real_name, limits::SESSION_NAME),
        home: user.dir.to_str()?.to_owned(),
        shell: user.shell.to_str().unwrap_or_default().to_owned(),
        uid: user.uid.as_raw(),
        name: user.name,
        ..UserRecord::default()
    })
}

/// A group by its name, or by its number where it has none, as id(1) tells it. `None` if that is not known.
fn named(gid: Gid) -> Option<Group> {
    let found = nix::unistd::Group::from_gid(gid).ok()?;
    Some(Group { name: found.map_or_else(|| gid.to_string(), |group| group.name), gid: gid.as_raw() })
}

fn of(uid: Uid) -> Option<UserRecord> {
    let user = User::from_uid(uid).ok()??;
    let number = |gid: Gid| Group { name: gid.to_string(), gid: gid.as_raw() };
    let gids = CString::new(user.name.as_str()).ok().and_then(|name| getgrouplist(&name, user.gid).ok());
    let mut groups = Vec::new();
    let mut room = NAMES;
    for gid in gids.unwrap_or_default().into_iter().filter(|&gid| gid != user.gid).take(limits::GROUPS) {
        let Some(group) = group(gid) else { continue };
        let Some(rest) = room.checked_sub(group.name.len()) else { break };
        room = rest;
        groups.push(group);
    }
    Some(UserRecord { group: group(user.gid).unwrap_or_else(|| number(user.gid)), groups, ..alone(user)? })
}

/// A group that has a name.
fn group(gid: Gid) -> Option<Group> {
    let group = nix::unistd::Group::from_gid(gid).ok()??;
    (!group.name.contains(char::is_control)).then(|| Group { name: group.name, gid: gid.as_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_everywhere() {
        let root = of(Uid::from_raw(0)).unwrap();
        assert_eq!((root.name.as_str(), root.uid, root.group.gid, root.home.as_str()), ("root", 0, 0, "/root"));
        assert_eq!(root.group.name, "root");
        assert!(root.groups.iter().all(|group| group.gid != 0));
    }

    #[test]
    fn the_complete_record_has_every_group_of_this_process() {
        let record = complete().unwrap();
        let gids: Vec<u32> = record.groups.iter().chain([&record.group]).map(|group| group.gid).collect();
        assert!(getgroups().unwrap().iter().all(|gid| gids.contains(&gid.as_raw())), "{gids:?}");
        assert!(gids.contains(&getgid().as_raw()) && record.is_bounded());
    }

    #[test]
    fn groups_come_with_their_names() {
        // In Debian, and wherever there are accounts of the system's at all, somebody has a second group.
        let table = std::fs::read_to_string("/etc/group").unwrap();
        let member = table.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let name = fields.get(3)?.split(',').next().filter(|name| !name.is_empty())?;
            Some((User::from_name(name).ok()??, fields[0].to_owned(), fields[2].parse::<u32>().ok()?))
        });
        if let Some((user, name, gid)) = member {
            let record = of(user.uid).unwrap();
            assert!(gid == user.gid.as_raw() || record.groups.contains(&Group { name, gid }), "{record:?}");
        }
    }
}
