//! A small deterministic mutator, for tests without a fuzzer: the same seeds give the same inputs on every machine.

use std::path::Path;

/// xorshift64: enough to stir bytes.
struct Stir(u64);

impl Stir {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % below.max(1)
    }
}

/// Runs `check` on every seed in `folder`, and on `rounds` mutations of each.
pub fn run(folder: &Path, rounds: usize, check: fn(&[u8])) {
    let mut seeds: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| std::fs::read(entry.expect("readable folder").path()).expect("readable seed"))
        .collect();
    assert!(!seeds.is_empty(), "{} has no seeds", folder.display());
    seeds.sort();
    let mut stir = Stir(0x9e37_79b9_7f4a_7c15);
    for seed in &seeds {
        check(seed);
        for _ in 0..rounds {
            let mut input = seed.clone();
            for _ in 0..=stir.next(4) {
                mutate(&mut input, &seeds, &mut stir);
            }
            check(&input);
        }
    }
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], stir: &mut Stir) {
    const ODD: &[&[u8]] =
        &[b"\0", b"\xff\xff\xff\xff", b"\x1b[", b"\"", b"\\", b"{", b"]", b"\n", b"\xe2\x80\xae", b"-1", b"1e999"];
    let at = stir.next(input.len() + 1);
    match stir.next(6) {
        0 => input.truncate(at),
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << stir.next(8);
            }
        }
        2 => {
            let odd = ODD[stir.next(ODD.len())];
            input.splice(at..at, odd.iter().copied());
        }
        3 => {
            let end = at + stir.next(input.len() - at + 1);
            input.drain(at..end);
        }
        4 => {
            let end = at + stir.next((input.len() - at + 1).min(64));
            let part = input[at..end].to_vec();
            input.extend(part);
        }
        _ => {
            let other = &seeds[stir.next(seeds.len())];
            let from = stir.next(other.len() + 1);
            input.splice(at.., other[from..].iter().copied());
        }
    }
}
