//! MT19937, the generator that Envoy draws the order of other hosts from. Slow and large by
//! today's measure, but only the same numbers give the same hosts.

const LEN: usize = 624;
const MIDDLE: usize = 397;

/// The generator, with its first 624 numbers ready.
pub(super) struct MersenneTwister {
    state: [u32; LEN],
    at: usize,
}

impl MersenneTwister {
    /// Seeded by the lower half of `seed`.
    pub(super) fn new(seed: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the generator takes 32 bits")]
        let mut last = seed as u32;
        let mut state = [0; LEN];
        for (index, word) in (0_u32..).zip(&mut state) {
            if index > 0 {
                last = 1_812_433_253_u32.wrapping_mul(last ^ last >> 30).wrapping_add(index);
            }
            *word = last;
        }
        Self { state, at: LEN }
    }

    /// A number below `limit`, each as likely as any other. Zero for a limit of zero.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        let Some(width) = (1_u64 << 32).checked_div(limit.into()) else { return 0 };
        loop {
            let drawn = u64::from(self.next()) / width;
            if let Some(number) = u32::try_from(drawn).ok().filter(|number| *number < limit) {
                return number;
            }
        }
    }

    fn next(&mut self) -> u32 {
        if self.at >= LEN {
            self.refill();
        }
        let mut word = self.word(self.at);
        self.at += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    fn word(&self, at: usize) -> u32 {
        self.state.get(at % LEN).copied().unwrap_or(0)
    }

    fn refill(&mut self) {
        for at in 0..LEN {
            let joined = self.word(at) & 0x8000_0000 | self.word(at + 1) & 0x7fff_ffff;
            let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            let word = self.word(at + MIDDLE) ^ joined >> 1 ^ twist;
            if let Some(place) = self.state.get_mut(at) {
                *place = word;
            }
        }
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ten_thousandth_number_is_the_one_that_the_standard_names() {
        let mut random = MersenneTwister::new(5489);
        assert_eq!((0..10_000).map(|_| random.next()).last(), Some(4_123_659_995));
    }

    #[test]
    fn numbers_stay_below_their_limit() {
        let mut random = MersenneTwister::new(7);
        assert!((1..1000).all(|limit| random.below(limit) < limit));
        assert_eq!(random.below(0), 0);
    }
}
