//! How long an idle screen stays lit, as plain values.

/// The X server's screen saver and, where the hardware can sleep, its timers for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Saver {
    /// Seconds; 0: never.
    pub(crate) timeout: u16,
    pub(crate) interval: u16,
    pub(crate) prefer_blanking: u8,
    pub(crate) allow_exposures: u8,
    /// Whether monitors are put to sleep, and after how many seconds into which of three depths.
    pub(crate) dpms: Option<(bool, [u16; 3])>,
}

impl Saver {
    /// The same with the screen blank, and the monitors off, after so many idle seconds; 0: never.
    pub(crate) fn blanking_after(self, seconds: u32) -> Self {
        // The protocol's numbers are signed, and have 16 bits.
        let seconds = u16::try_from(seconds).unwrap_or(u16::MAX).min(i16::MAX.cast_unsigned());
        Self {
            timeout: seconds,
            interval: 0,
            prefer_blanking: 1,
            dpms: self.dpms.map(|_| (seconds > 0, [seconds; 3])),
            ..self
        }
    }

    pub(crate) fn to_words(self) -> [u32; 8] {
        let (state, times) = match self.dpms {
            None => (0, [0; 3]),
            Some((on, times)) => (1 + u32::from(on), times),
        };
        let [standby, suspend, off] = times.map(u32::from);
        let (timeout, interval) = (u32::from(self.timeout), u32::from(self.interval));
        let (blanking, exposures) = (u32::from(self.prefer_blanking), u32::from(self.allow_exposures));
        [timeout, interval, blanking, exposures, state, standby, suspend, off]
    }

    /// What [`Saver::to_words`] made; `None` for anything else.
    pub(crate) fn from_words(words: &[u32]) -> Option<Self> {
        let &[timeout, interval, blanking, exposures, state, standby, suspend, off] = words else { return None };
        let short = |word: u32| u16::try_from(word).ok();
        let byte = |word: u32| u8::try_from(word).ok().filter(|&byte| byte <= 2);
        let dpms = match state {
            0 => None,
            1 | 2 => Some((state == 2, [short(standby)?, short(suspend)?, short(off)?])),
            _ => return None,
        };
        Some(Self {
            timeout: short(timeout)?,
            interval: short(interval)?,
            prefer_blanking: byte(blanking)?,
            allow_exposures: byte(exposures)?,
            dpms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: Saver =
        Saver { timeout: 600, interval: 600, prefer_blanking: 0, allow_exposures: 1, dpms: Some((true, [1, 2, 3])) };

    #[test]
    fn what_was_found_can_be_put_back() {
        for saver in [FOUND, Saver { dpms: None, ..FOUND }, Saver { dpms: Some((false, [9; 3])), ..FOUND }] {
            assert_eq!(Saver::from_words(&saver.to_words()), Some(saver));
        }
        for words in
            [&[][..], &[1; 7], &[70_000, 0, 0, 0, 0, 0, 0, 0], &[1, 1, 9, 0, 0, 0, 0, 0], &[1, 1, 1, 1, 7, 0, 0, 0]]
        {
            assert_eq!(Saver::from_words(words), None);
        }
    }

    #[test]
    fn zero_is_never_and_an_hour_is_an_hour() {
        let never = FOUND.blanking_after(0);
        assert_eq!((never.timeout, never.dpms), (0, Some((false, [0; 3]))));
        let hour = FOUND.blanking_after(3600);
        assert_eq!((hour.timeout, hour.interval, hour.dpms), (3600, 0, Some((true, [3600; 3]))));
        assert_eq!(FOUND.blanking_after(86_400).timeout, 32_767);
        assert_eq!(Saver { dpms: None, ..FOUND }.blanking_after(60).dpms, None);
    }
}
