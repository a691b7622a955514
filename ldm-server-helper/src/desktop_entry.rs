//! What a file in an `xsessions` directory says about its session. Pure; any bytes are safe to parse.

pub use ldm_protocol::desktop_entry::{DesktopEntry, MAX_BYTES};

use crate::command_line::CommandLine;

/// What one file in an `xsessions` directory says about its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionFile {
    /// `Hidden` or `NoDisplay`, or no X session: nothing to offer, and files of the same id further down are masked.
    Masking,
    /// A session.
    Session(SessionKeys),
}

/// The keys of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKeys {
    /// `Name`, localised.
    pub name: String,
    /// `Comment`, localised.
    pub comment: Option<String>,
    /// `Exec`.
    pub command: CommandLine,
    /// `TryExec`.
    pub try_exec: Option<String>,
    /// `DesktopNames`.
    pub desktop_names: Vec<String>,
}

impl SessionFile {
    /// Parses a file's bytes. `None`: no usable entry at all, so the next directory may have a better one.
    pub fn parse(bytes: &[u8], locale: Option<&str>) -> Option<Self> {
        let entry = DesktopEntry::parse(bytes)?;
        // LightDM's key for sessions that are not what their directory says.
        let other_type = entry.string("X-LightDM-Session-Type").is_some_and(|t| !matches!(t.trim(), "x" | "x11"));
        if entry.is_true("Hidden") || entry.is_true("NoDisplay") || other_type {
            return Some(Self::Masking);
        }
        let mut desktop_names = entry.list("DesktopNames");
        if desktop_names.is_empty() {
            desktop_names = entry.list("X-LightDM-DesktopName");
        }
        // `:` is the separator of XDG_CURRENT_DESKTOP, and neither belongs in an environment variable.
        desktop_names.retain(|name| !name.contains(|c: char| c == ':' || c.is_control()));
        Some(Self::Session(SessionKeys {
            name: entry.localised("Name", locale).filter(|name| !name.trim().is_empty())?,
            comment: entry.localised("Comment", locale),
            command: CommandLine::parse(&entry.string("Exec")?)?,
            try_exec: entry.string("TryExec").map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()),
            desktop_names,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_files() {
        let parse = |body: &str| SessionFile::parse(format!("[Desktop Entry]\n{body}").as_bytes(), Some("de"));
        let Some(SessionFile::Session(keys)) =
            parse("Name=X\nName[de]=Ä\nComment=c\nExec=startx %U\nTryExec= /bin/x \nDesktopNames=A;B:C;D;")
        else {
            panic!("no session")
        };
        assert_eq!((keys.name.as_str(), keys.comment.as_deref()), ("Ä", Some("c")));
        assert_eq!(keys.try_exec.as_deref(), Some("/bin/x"));
        assert_eq!(keys.desktop_names, ["A", "D"]);
        assert_eq!(keys.command.program(), "startx");

        assert_eq!(parse("Hidden=true"), Some(SessionFile::Masking));
        assert_eq!(parse("Name=X\nExec=x\nNoDisplay=1"), Some(SessionFile::Masking));
        assert_eq!(parse("Name=X\nExec=x\nX-LightDM-Session-Type=wayland"), Some(SessionFile::Masking));
        for incomplete in ["Name=X", "Exec=x", "Name=\nExec=x", "Name=X\nExec=", "Name=X\nExec=%U", "Name=X\nExec=\"x"]
        {
            assert_eq!(parse(incomplete), None, "{incomplete}");
        }
    }

    #[test]
    fn survives_any_bytes() {
        let text = b"[Desktop Entry]\nName[=\nName]=x\n=\n[\n]\nName=\xff\nName=ok\nExec=\\\nL=\\";
        for end in 0..=text.len() {
            for byte in [0, b'\n', b'[', b'\\', b'=', 0xff, b'%'] {
                let mut bytes = text[..end].to_vec();
                bytes.push(byte);
                let _ = SessionFile::parse(&bytes, Some("a_b.c@d"));
            }
        }
    }
}
