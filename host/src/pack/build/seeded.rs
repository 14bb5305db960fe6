//! Weights made up from a seed.
//!
//! Each weight has a stream of its own, from the seed and its name, so that adding one changes
//! no other. What stays true: the same seed gives the same bytes on every machine; only additions
//! and multiplications of exact numbers are used, no library's logarithm.

use sha2::{Digest, Sha256};

use crate::plan::Init;

/// The numbers of one weight, one after the other.
pub(in crate::pack) struct Numbers {
    init: Init,
    state: u64,
}

impl Numbers {
    pub(in crate::pack) fn new(seed: u64, name: &str, init: Init) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"modularbase seed v1");
        hash.update(seed.to_le_bytes());
        hash.update(name);
        let digest: [u8; 32] = hash.finalize().into();
        let (words, _) = digest.as_chunks();
        Self {
            init,
            state: words.first().map_or(0, |word| u64::from_le_bytes(*word)),
        }
    }

    pub(in crate::pack) fn next(&mut self) -> f32 {
        match self.init {
            Init::Zeros => 0.0,
            Init::Ones => 1.0,
            Init::Normal(deviation) => self.normal() * deviation,
        }
    }

    /// Twelve uniform numbers of variance 1/12 add up to one of variance 1 that is normal
    /// enough: within six deviations, which suits weights.
    fn normal(&mut self) -> f32 {
        let mut sum = 0i32;
        for _ in 0..3 {
            let bits = self.random();
            for quarter in 0..4 {
                sum += i32::from((bits >> (16 * quarter)) as u16);
            }
        }
        // The mean of each is 65535 / 2.
        (sum - 6 * 65_535) as f32 / 65_536.0
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64, name: &str, init: Init) -> Vec<f32> {
        let mut numbers = Numbers::new(seed, name, init);
        (0..10_000).map(|_| numbers.next()).collect()
    }

    #[test]
    fn a_seed_and_a_name_make_the_numbers() {
        let init = Init::Normal(0.5);
        let first = numbers(0, "a", init);
        assert_eq!(first, numbers(0, "a", init));
        assert_ne!(first, numbers(1, "a", init));
        assert_ne!(first, numbers(0, "b", init));
        // The same on every machine, for good: packs are compared by digest. Computed by a few
        // lines of Python as well.
        assert_eq!(first[..3], [0.2898636, 0.010055542, -0.13085175]);
    }

    #[test]
    fn they_spread_as_they_should() {
        let them = numbers(3, "x", Init::Normal(2.0));
        let mean = them.iter().sum::<f32>() / them.len() as f32;
        let variance = them.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / them.len() as f32;
        assert!(mean.abs() < 0.08, "{mean}");
        assert!((variance.sqrt() - 2.0).abs() < 0.05, "{variance}");
        assert_eq!(numbers(3, "x", Init::Zeros), vec![0.0; 10_000]);
        assert_eq!(numbers(3, "x", Init::Ones), vec![1.0; 10_000]);
    }
}
