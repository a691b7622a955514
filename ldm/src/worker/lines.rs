//! Lines from a command on the server, bounded.

use std::io;

use ldm_protocol::limits;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Reads lines of at most [`limits::HELPER_LINE`] bytes. Longer ones are skipped, and so is, by whoever reads, all that was
/// not meant for us: a shell's start-up files may print anything.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    too_long: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new(), too_long: false }
    }

    /// The next line without its end, or `None` at the end of the stream. May be dropped at any await.
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                return Ok(self.take().filter(|line| !line.is_empty()));
            }
            let end = available.iter().position(|b| *b == b'\n');
            let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            self.too_long |= self.line.len() + part.len() > limits::HELPER_LINE;
            if !self.too_long {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some()
                && let Some(line) = self.take()
            {
                return Ok(Some(line));
            }
        }
    }

    /// What was collected, unless it was too long.
    fn take(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        (!std::mem::take(&mut self.too_long)).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_lines_are_skipped_and_the_last_needs_no_end() {
        let mut bytes = b"one\n\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', limits::HELPER_LINE + 1));
        bytes.extend_from_slice(b"\n");
        bytes.extend(std::iter::repeat_n(b'y', limits::HELPER_LINE));
        bytes.extend_from_slice(b"\ntwo");
        let mut lines = Lines::new(bytes.as_slice());
        let mut lengths = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            lengths.push(line.len());
        }
        assert_eq!(lengths, [3, 0, limits::HELPER_LINE, 3]);
    }
}
