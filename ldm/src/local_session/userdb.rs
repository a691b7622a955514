//! The user on this client: the server's record, checked, and written for libnss-systemd as JSON (nss-systemd(8),
//! <https://systemd.io/USER_RECORD>), so that no file of the client's own is edited and a read-only root will do.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use ldm_protocol::helper::{Group, UserRecord};
use ldm_protocol::{limits, text};
use nix::unistd;
use serde_json::{Value, json};

use super::remains::{Guest, Remains};
use crate::sys::{self, Account};

/// Where libnss-systemd looks for records.
pub(super) const RECORDS: &str = "/run/userdb";
/// The least number of a user, and of a group of users (Debian policy, 9.2.2).
const FIRST: u32 = 1000;
/// `nobody`, the 16-bit overflow, and what means “none” to system calls.
const NO_IDS: [u32; 4] = [65534, 65535, u32::MAX - 1, u32::MAX];
/// Debian's group `users`.
const USERS: u32 = 100;
/// Longest home.
const HOME: usize = 1024;
/// Directories of the system's; homes are in none of them.
const SYSTEM: &[&str] = &[
    "bin",
    "boot",
    "dev",
    "etc",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "lost+found",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "usr",
];
/// Groups that a user at the seat is in whatever the server says.
const OF_THE_SEAT: [&str; 2] = ["audio", "video"];

/// The user of the session on this client.
#[derive(Debug)]
pub(super) struct User {
    /// Who programs run as.
    pub(super) account: Account,
    /// Whether they were made for the session, and have no home here.
    pub(super) guest: bool,
}

/// Makes the user that `record` tells of and who logged in as `login`, or finds the one there is. A sentence otherwise.
pub(super) fn establish(
    record: &UserRecord,
    login: &str,
    groups: &[String],
    guests: &[Guest],
    remains: &mut Remains,
) -> Result<User, String> {
    let record = check(record)?;
    let name = &record.name;
    if !sys::is_root() {
        let account = Account::current().map_err(|error| error.to_string())?;
        let same = account.name == *name && account.uid == record.uid;
        return if same {
            Ok(User { account, guest: false })
        } else {
            Err(format!("LDM does not run as root and cannot become {name}"))
        };
    }
    if guests.iter().any(|guest| guest.name == *name || guest.uid == record.uid) {
        return Err(format!("{name} uses programs on another seat of this computer already"));
    }
    let by_name = unistd::User::from_name(name).map_err(|error| format!("{name} cannot be looked up: {error}"))?;
    if let Some(known) = by_name {
        let uid = known.uid.as_raw();
        if uid != record.uid {
            return Err(format!("{name} has the number {uid} on this computer and {} on the server", record.uid));
        }
        check_login(&record, login, true)?;
        let account = Account::find(name).map_err(|error| error.to_string())?;
        return Ok(User { account, guest: false });
    }
    let by_uid =
        unistd::User::from_uid(record.uid.into()).map_err(|error| format!("{name} cannot be looked up: {error}"))?;
    if let Some(known) = by_uid {
        return Err(format!(
            "{name} has the number {} on the server, which is that of {} on this computer",
            record.uid, known.name
        ));
    }
    check_login(&record, login, false)?;
    if sys::has_processes(record.uid) {
        return Err(format!("processes with {name}'s number {} run on this computer already", record.uid));
    }
    let new_group = check_group(&record.group, groups)?;
    let made = make(&record, new_group, &memberships(&record, groups), remains);
    made.map_err(|error| format!("{name} cannot be made on this computer: {error}"))?;
    match Account::find(name) {
        Ok(account) if account.uid == record.uid && account.gid == record.group.gid => {
            Ok(User { account, guest: true })
        }
        Ok(_) => Err(format!("something on this computer answers wrongly who {name} is")),
        Err(_) => Err(
            "users cannot be made on this computer: install libnss-systemd, and put “systemd” into the lines passwd: \
                       and group: of /etc/nsswitch.conf"
                .to_owned(),
        ),
    }
}

/// The record with what is wrong only in looks put right.
fn check(record: &UserRecord) -> Result<UserRecord, String> {
    let shown = text::sanitise_line(&record.name, 64);
    if !is_name(&record.name) {
        return Err(format!("the server gives a name that no user can have: “{shown}”"));
    }
    if record.uid < FIRST || NO_IDS.contains(&record.uid) {
        return Err(format!(
            "{shown} has the number {} on the server; only users from {FIRST} on are let in here",
            record.uid
        ));
    }
    let mut group = record.group.clone();
    if group.name == group.gid.to_string() {
        // It has no name on the server, and must have one here.
        group.name.clone_from(&record.name);
    }
    if !is_name(&group.name) || NO_IDS.contains(&group.gid) {
        return Err(format!("the server gives a group to {shown} that cannot be"));
    }
    if record.groups.len() > limits::GROUPS {
        return Err(format!("the server has {shown} in more than {} groups", limits::GROUPS));
    }
    let home = record.home.trim_end_matches('/').to_owned();
    if !is_home(&home) {
        let home = text::sanitise_line(&home, 200);
        return Err(format!("the server gives a home to {shown} that cannot be one here: “{home}”"));
    }
    // GECOS has neither (passwd(5)).
    let real_name = record.real_name.replace([':', ','], " ");
    Ok(UserRecord {
        real_name: text::sanitise_line(&real_name, 200).trim().to_owned(),
        shell: shell(&record.shell, &fs::read_to_string("/etc/shells").unwrap_or_default()),
        home,
        group,
        ..record.clone()
    })
}

/// What systemd takes for a name in records (its `valid_user_group_name`, relaxed), and less: no leading `-` or `.`. Names such
/// as `DOMAIN\user` and `first.last@site` are such.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= limits::USERNAME
        && !name.starts_with(['-', '.', ' '])
        && !name.ends_with(' ')
        && !name.contains(|c: char| c.is_control() || "/:,".contains(c))
        && !name.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_home(home: &str) -> bool {
    let Some(path) = home.strip_prefix('/') else { return false };
    let parts: Vec<&str> = path.split('/').collect();
    let first = parts.first().copied().unwrap_or_default();
    home.len() <= HOME
        && parts.len() >= 2
        && !SYSTEM.contains(&first)
        && (first != "var" || parts.get(1).is_some_and(|second| *second == "home") && parts.len() >= 3)
        && parts.iter().all(|part| !matches!(*part, "" | "." | ".."))
        && !home.contains(|c: char| c.is_control() || c == ':')
}

/// Whether `login`, whom the server has let in, can be the user of the record, who is `known` on this client or not. The record
/// comes from a program that runs on the server as the user, who can have it say anything; only the login was checked.
fn check_login(record: &UserRecord, login: &str, known: bool) -> Result<(), String> {
    let user = unistd::User::from_name(login).map_err(|error| format!("{login} cannot be looked up: {error}"))?;
    let same = match user {
        Some(user) => user.uid.as_raw() == record.uid,
        None => !known && bare(login).to_lowercase() == bare(&record.name).to_lowercase(),
    };
    let (login, name) = (text::sanitise_line(login, 64), &record.name);
    if same { Ok(()) } else { Err(format!("{login} logged in, and the server says that it is {name}")) }
}

/// A name without the domain that directories put before or behind it.
fn bare(name: &str) -> &str {
    let name = name.rsplit_once('\\').map_or(name, |(_, name)| name);
    name.split_once('@').map_or(name, |(name, _)| name)
}

/// The server's shell where it is one here.
fn shell(wanted: &str, shells: &str) -> String {
    let good =
        wanted.starts_with('/') && shells.lines().any(|line| line.trim() == wanted) && Path::new(wanted).is_file();
    if good { wanted } else { "/bin/sh" }.to_owned()
}

/// Whether the primary group is to be made; a sentence if it clashes with one of this client.
fn check_group(group: &Group, allowed: &[String]) -> Result<bool, String> {
    let Group { name, gid } = group;
    let failed = |error: nix::Error| format!("the group {name} cannot be looked up: {error}");
    let by_name = unistd::Group::from_name(name).map_err(failed)?;
    let by_gid = unistd::Group::from_gid((*gid).into()).map_err(failed)?;
    if by_name.as_ref().is_some_and(|known| known.gid.as_raw() != *gid)
        || by_gid.as_ref().is_some_and(|g| g.name != *name)
    {
        return Err(format!("the group {name} ({gid}) of the server is another one on this computer"));
    }
    if by_gid.is_none() {
        return if *gid >= FIRST {
            Ok(true)
        } else {
            Err(format!("the group {name} ({gid}) is one of the system's, and not on this computer"))
        };
    }
    // One that was made for a user of another seat is no group of this client's.
    let made = Path::new(RECORDS).join(format!("{name}.group")).exists();
    if *gid == USERS || *gid != 0 && allowed.contains(name) || *gid >= FIRST && made {
        return Ok(false);
    }
    Err(format!(
        "the group {name} ({gid}) is one of this computer's; put it into LOCAL_APPS_GROUPS if its members may start programs"
    ))
}

/// Groups of this client that the user is to be in.
fn memberships<'a>(record: &UserRecord, allowed: &'a [String]) -> Vec<&'a str> {
    let wanted = |name: &&str| OF_THE_SEAT.contains(name) || record.groups.iter().any(|group| group.name == **name);
    let exists =
        |name: &&str| unistd::Group::from_name(name).ok().flatten().is_some_and(|group| group.gid.as_raw() != 0);
    allowed.iter().map(String::as_str).filter(wanted).filter(exists).collect()
}

fn make(record: &UserRecord, new_group: bool, groups: &[&str], remains: &mut Remains) -> io::Result<()> {
    let UserRecord { name, uid, group, .. } = record;
    match fs::create_dir(RECORDS) {
        Ok(()) => sys::set_mode(Path::new(RECORDS), 0o755)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    remains.user(name, *uid)?;
    let at = |file: String| Path::new(RECORDS).join(file);
    if new_group {
        let json = json!({ "groupName": group.name, "gid": group.gid });
        write(&at(format!("{}.group", group.name)), &at(format!("{}.group", group.gid)), &json, remains)?;
    }
    for group in groups {
        let path = at(format!("{name}:{group}.membership"));
        note(&path, remains)?;
        create(&path, b"{}\n")?;
    }
    // No password: nobody logs in as this user here by another way.
    let json = json!({
        "userName": name, "uid": uid, "gid": group.gid, "realName": record.real_name, "homeDirectory": record.home,
        "shell": record.shell, "disposition": "regular",
    });
    write(&at(format!("{name}.user")), &at(format!("{uid}.user")), &json, remains)
}

/// What is there already is somebody else's, and not ours to remove.
fn note(path: &Path, remains: &mut Remains) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} exists", path.display())));
    }
    remains.record(path)
}

/// A record and its link by number.
fn write(path: &Path, link: &Path, json: &Value, remains: &mut Remains) -> io::Result<()> {
    for path in [path, link] {
        note(path, remains)?;
    }
    create(path, format!("{json}\n").as_bytes())?;
    // A link is there at once, and never in place of somebody else's.
    symlink(path.file_name().map(PathBuf::from).unwrap_or_default(), link)
}

/// A new file that is there only as a whole. Ones of others stay.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = Path::new(RECORDS).join(format!(".ldm-{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&new)?;
    let written =
        file.write_all(bytes).and_then(|()| sys::set_mode(&new, 0o644)).and_then(|()| fs::hard_link(&new, path));
    fs::remove_file(&new)?;
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> UserRecord {
        UserRecord {
            name: "alice".into(),
            uid: 61_001,
            group: Group { name: "alice".into(), gid: 61_001 },
            home: "/home/alice/".into(),
            ..UserRecord::default()
        }
    }

    #[test]
    fn names_as_directories_have_them() {
        for good in ["alice", "DOMAIN\\user", "first.last@site", "Two Words", "müller", "a-b", "x1", "_apt", "user$"] {
            assert!(is_name(good), "{good}");
        }
        let long = "x".repeat(limits::USERNAME + 1);
        for bad in ["", "-x", ".x", "..", "a/b", "a:b", "a,b", "12", "a\nb", " a", "a ", "a\u{7f}", &long] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn homes_are_where_users_have_them() {
        for good in ["/home/alice", "/srv/home/DOMAIN/first.last@site", "/home/Two Words", "/var/home/x", "/data/x"] {
            assert!(is_home(good), "{good}");
        }
        let long = format!("/home/{}", "x".repeat(HOME));
        for bad in [
            "",
            "/",
            "/home",
            "home/x",
            "/etc/x",
            "/usr/local/x",
            "/run/x/y",
            "/proc/self/cwd",
            "/root/x",
            "/var/lib/x",
            "/var/home",
            "/home/../etc",
            "/home//x",
            "/home/./x",
            "/home/x\n",
            "/home/a:b",
            "/dev/shm/x",
            &long,
        ] {
            assert!(!is_home(bad), "{bad:?}");
        }
    }

    #[test]
    fn what_the_server_says_is_believed_only_where_it_can_be() {
        let good = check(&record()).unwrap();
        assert_eq!((good.home.as_str(), good.shell.as_str()), ("/home/alice", "/bin/sh"));
        let real = check(&UserRecord { real_name: "A:B,\u{1b}[1mC\n".into(), ..record() }).unwrap();
        assert!(!real.real_name.contains([':', ',', '\n', '\u{1b}']), "{}", real.real_name);
        for uid in [0, 1, 999, 65_534, 65_535, u32::MAX - 1, u32::MAX] {
            assert!(check(&UserRecord { uid, ..record() }).is_err(), "{uid}");
        }
        let group = |name: &str, gid| Group { name: name.into(), gid };
        let unnamed = check(&UserRecord { group: group("61001", 61_001), ..record() }).unwrap();
        assert_eq!(unnamed.group, group("alice", 61_001));
        for group in
            [group("", 1000), group("1000", 1001), group("a:b", 1000), group("x", u32::MAX), group("nogroup", 65_534)]
        {
            assert!(check(&UserRecord { group, ..record() }).is_err());
        }
        let groups = vec![group("x", 5); limits::GROUPS + 1];
        assert!(check(&UserRecord { groups, ..record() }).is_err());
        let error = check(&UserRecord { name: "-rf\u{1b}[2J".into(), ..record() }).unwrap_err();
        assert!(!error.contains('\u{1b}'), "{error}");
    }

    #[test]
    fn who_logged_in_is_who_the_server_says() {
        let check =
            |login: &str, name: &str, known| check_login(&UserRecord { name: name.into(), ..record() }, login, known);
        for (login, name) in [
            ("no-such-user", "no-such-user"),
            ("No-Such-User", "no-such-user"),
            ("no-such-user", "CORP\\no-such-user"),
            ("no-such-user@corp.example", "no-such-user"),
            ("CORP\\no-such-user", "no-such-user@corp.example"),
        ] {
            assert!(check(login, name, false).is_ok(), "{login} {name}");
            // Of another domain it may be another person.
            assert!(check(login, name, true).is_err(), "{login} {name}");
        }
        assert!(check("no-such-user", "no-other-user", false).is_err());
        assert!(check("nobody", "nobody", true).is_err(), "another number");
        assert!(check_login(&UserRecord { name: "x".into(), uid: 65_534, ..record() }, "nobody", true).is_ok());
    }

    #[test]
    fn shells_are_those_of_this_client() {
        let shells = "# a comment\n/bin/sh\n/nonexistent/zsh\n";
        for (wanted, got) in
            [("/bin/sh", "/bin/sh"), ("/nonexistent/zsh", "/bin/sh"), ("/bin/cat", "/bin/sh"), ("", "/bin/sh")]
        {
            assert_eq!(shell(wanted, shells), got, "{wanted}");
        }
        assert_eq!(shell("# a comment", shells), "/bin/sh");
    }

    #[test]
    fn groups_of_this_client_come_by_name_and_by_leave_alone() {
        let allowed = ["audio", "video", "games", "root", "no-such-group", "tape"].map(str::to_owned);
        let groups = vec![Group { name: "games".into(), gid: 4711 }, Group { name: "root".into(), gid: 4712 }];
        let record = UserRecord { groups, ..record() };
        assert_eq!(memberships(&record, &allowed), ["audio", "video", "games"]);
        assert!(memberships(&record, &[]).is_empty());
        let group = |name: &str, gid| Group { name: name.into(), gid };
        assert_eq!(check_group(&group("no-such-group", 61_001), &[]), Ok(true));
        assert_eq!(check_group(&group("users", 100), &[]), Ok(false));
        assert_eq!(check_group(&group("audio", 29), &allowed), Ok(false));
        for bad in [
            group("root", 0),
            group("games", 61_001),
            group("other", 29),
            group("tape", 26),
            group("x", 999),
            group("no-such", 7777),
        ] {
            let wrong = check_group(&bad, &["root".to_owned()]);
            assert_eq!(wrong.is_err(), bad.gid != 7777, "{bad:?}: {wrong:?}");
        }
    }
}
