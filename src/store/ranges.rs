//! Which bytes of an unfinished blob are present: a set of half-open ranges.

use std::ops::Range;

/// Ranges in order that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// The bytes from the start up to `end`.
    pub fn prefix(end: u64) -> Self {
        Self(if end == 0 { Vec::new() } else { std::iter::once(0..end).collect() })
    }

    /// Builds ranges from pairs of start and end. Skips invalid pairs, so those bytes are fetched again.
    pub fn from_pairs(pairs: &[(u64, u64)]) -> Self {
        let mut ranges = Self::default();
        for (start, end) in pairs {
            ranges.add(*start..*end);
        }
        ranges
    }

    pub fn pairs(&self) -> Vec<(u64, u64)> {
        self.0.iter().map(|range| (range.start, range.end)).collect()
    }

    pub fn add(&mut self, new: Range<u64>) {
        if new.start >= new.end {
            return;
        }
        let before = self.0.partition_point(|range| range.end < new.start);
        let after = self.0.partition_point(|range| range.start <= new.end);
        let joined = self.0[before..after]
            .iter()
            .fold(new, |joined, range| joined.start.min(range.start)..joined.end.max(range.end));
        self.0.splice(before..after, [joined]);
    }

    /// The length of the prefix without a gap.
    pub fn contiguous(&self) -> u64 {
        self.0.first().filter(|range| range.start == 0).map_or(0, |range| range.end)
    }

    pub fn total(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// The gaps below `size`, in order.
    pub fn missing(&self, size: u64) -> Vec<Range<u64>> {
        let mut at = 0;
        let mut gaps = Vec::new();
        for range in &self.0 {
            if at < range.start.min(size) {
                gaps.push(at..range.start.min(size));
            }
            at = at.max(range.end);
        }
        if at < size {
            gaps.push(at..size);
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        type Pairs = &'static [(u64, u64)];
        let rows: [(Pairs, Pairs); 5] = [
            (&[(0, 5), (5, 9)], &[(0, 9)]),
            (&[(6, 9), (0, 5)], &[(0, 5), (6, 9)]),
            (&[(0, 2), (4, 6), (8, 9), (1, 8)], &[(0, 9)]),
            (&[(3, 3), (5, 4)], &[]),
            (&[(0, 9), (2, 3)], &[(0, 9)]),
        ];
        for (added, expected) in rows {
            assert_eq!(Ranges::from_pairs(added).pairs(), expected, "{added:?}");
        }
    }

    #[test]
    fn gaps_are_what_is_missing_below_the_size() {
        let ranges = Ranges::from_pairs(&[(2, 4), (6, 20)]);
        assert_eq!(ranges.missing(30), [0..2, 4..6, 20..30]);
        assert_eq!(ranges.missing(5), [0..2, 4..5]);
        assert_eq!((ranges.contiguous(), ranges.total()), (0, 16));
        assert_eq!(Ranges::prefix(7).missing(7), []);
        assert_eq!(Ranges::prefix(0).missing(3), std::iter::once(0..3).collect::<Vec<_>>());
    }
}
