//! What the fuzz targets share: where to cut the input, decided by the input itself, so that a finding reproduces.

/// An endless stream of lengths, the same for the same input.
#[derive(Debug)]
pub struct Cuts(u64);

impl Cuts {
    /// The cuts that belong to `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        let hash = data
            .iter()
            .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3));
        Self(hash | 1)
    }

    /// A length from 1 to `most`; mostly short.
    pub fn next(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let draw = usize::try_from(self.0 >> 40).unwrap_or(0);
        let bound = if self.0 & 3 == 0 { most } else { most.min(9) };
        1 + draw % bound.max(1)
    }

    /// Positions in a run of `length` bytes, in order: a few, the ends included.
    #[must_use]
    pub fn positions(&mut self, length: usize) -> Vec<usize> {
        let mut positions: Vec<usize> = (0..12).map(|_| self.next(length + 1) - 1).collect();
        positions.extend([0, length.saturating_sub(1), length]);
        positions.sort_unstable();
        positions.dedup();
        positions
    }
}
