//! Load figures from `/proc`, for the client's choice among servers.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ldm_protocol::helper::Load;

use crate::regular_file;

/// Users' ids: below are services, above are containers and dynamic users (Debian Policy 9.2.2, systemd's UIDS-GIDS).
const USERS: std::ops::Range<u32> = 1000..60_000;

/// The load now. What cannot be read stays zero.
pub fn now() -> Load {
    let text = |path: &str| {
        regular_file::read(Path::new(path), 64 * 1024)
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .unwrap_or_default()
    };
    let memory = text("/proc/meminfo");
    Load {
        average: averages(&text("/proc/loadavg")),
        cpus: std::thread::available_parallelism().map_or(0, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        memory_kib: kib(&memory, "MemTotal:"),
        available_kib: kib(&memory, "MemAvailable:"),
        users: users(),
    }
}

fn averages(text: &str) -> [f64; 3] {
    let mut numbers = text.split_ascii_whitespace().map(|n| n.parse().unwrap_or(0.0)).chain(std::iter::repeat(0.0));
    std::array::from_fn(|_| numbers.next().filter(|n: &f64| n.is_finite()).unwrap_or(0.0))
}

fn kib(text: &str, key: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

/// Distinct ordinary users with a process here. With `hidepid` it is this user alone.
fn users() -> u32 {
    let Ok(entries) = Path::new("/proc").read_dir() else { return 0 };
    let owners: HashSet<u32> = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.uid())
        .filter(|uid| USERS.contains(uid))
        .collect();
    u32::try_from(owners.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::float_cmp)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        assert_eq!(averages("0.50 1.25 2 1/234 999\n"), [0.5, 1.25, 2.0]);
        assert_eq!(averages("nan x"), [0.0; 3]);
        assert_eq!(kib("MemTotal:  16 kB\nMemAvailable:\t8 kB\n", "MemAvailable:"), 8);
        assert_eq!(kib("MemTotal: x", "MemTotal:"), 0);
    }

    #[test]
    fn this_machine_has_memory() {
        let load = now();
        assert!(load.cpus > 0 && load.memory_kib >= load.available_kib && load.available_kib > 0);
    }
}
