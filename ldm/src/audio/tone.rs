//! A tone, and whether it is in a recording.

use std::f64::consts::TAU;

/// Samples per second.
pub const RATE: u32 = 48_000;
/// Pitch in Hz: whole periods in each block.
pub const PITCH: f64 = 1000.0;
/// Samples that are looked at together, 0.1 s: speakers and microphones have clocks of their own.
const BLOCK: usize = 4800;
/// A quarter of the loudest, −12 dBFS.
const AMPLITUDE: f64 = 8192.0;
/// A tone that is this part of all energy is heard. Of noise it would be 1 in 2400.
const SHARE: f64 = 0.05;

/// So many seconds of it: one channel, 16 bit little endian, with soft ends.
pub fn make(seconds: u32) -> Vec<u8> {
    let count = RATE * seconds;
    let ramp = f64::from(RATE) / 100.0;
    let sample = |n: u32| {
        let edge = f64::from(n.min(count - n)) / ramp;
        #[allow(clippy::cast_possible_truncation)] // bounded by AMPLITUDE
        let value = (AMPLITUDE * edge.min(1.0) * (TAU * PITCH * f64::from(n) / f64::from(RATE)).sin()) as i16;
        value.to_le_bytes()
    };
    (0..count).flat_map(sample).collect()
}

/// What a recording holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// Its length in seconds.
    pub seconds: f64,
    /// Its loudest block in dB below the loudest there could be; minus infinity for silence.
    pub level: f64,
    /// Whether the tone is in it.
    pub tone: bool,
}

/// Looks at a recording in the format of [`make`].
pub fn listen(recording: &[u8]) -> Heard {
    let samples: Vec<f64> =
        recording.as_chunks::<2>().0.iter().map(|bytes| f64::from(i16::from_le_bytes(*bytes)) / 32768.0).collect();
    let (mut loudest, mut all, mut tone) = (0.0_f64, 0.0, 0.0);
    for block in samples.chunks_exact(BLOCK) {
        let energy: f64 = block.iter().map(|x| x * x).sum();
        loudest = loudest.max(energy);
        all += energy;
        tone += energy_at(block, PITCH);
    }
    #[allow(clippy::cast_precision_loss)] // of minutes
    let (seconds, block) = (samples.len() as f64 / f64::from(RATE), BLOCK as f64);
    // A sine as loud as can be has a mean square of one half.
    Heard { seconds, level: 10.0 * (loudest / block * 2.0).log10(), tone: all > 0.0 && tone / all >= SHARE }
}

/// The energy of one frequency (Goertzel).
fn energy_at(block: &[f64], pitch: f64) -> f64 {
    let factor = 2.0 * (TAU * pitch / f64::from(RATE)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in block {
        (last, before) = (sample + factor * last - before, last);
    }
    #[allow(clippy::cast_precision_loss)]
    let length = block.len() as f64;
    (last * last + before * before - factor * last * before) * 2.0 / length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tone_is_found_and_nothing_else_is_taken_for_it() {
        let tone = make(2);
        let heard = listen(&tone);
        assert!(heard.tone && (heard.seconds - 2.0).abs() < 1e-9 && (heard.level + 12.04).abs() < 0.1, "{heard:?}");
        let quiet: Vec<u8> = tone
            .as_chunks::<2>()
            .0
            .iter()
            .enumerate()
            .flat_map(|(n, bytes)| {
                let noise = i16::try_from((n * 7919) % 601).unwrap() - 300;
                (i16::from_le_bytes(*bytes) / 64 + noise).to_le_bytes()
            })
            .collect();
        assert!(listen(&quiet).tone);
        let silence = listen(&vec![0; 200_000]);
        assert!(!silence.tone && silence.level == f64::NEG_INFINITY);
        let mut state = 1_u32;
        let noise: Vec<u8> = (0..200_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect();
        assert!(!listen(&noise).tone);
        assert!(!listen(&[]).tone);
    }
}
