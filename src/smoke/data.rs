//! The rows of a smoke test and the correct answers about them, all derived from a seed.

use super::{Metric, Options};

/// The values of the scalar field `color`.
pub const COLORS: [&str; 6] = ["pink", "red", "orange", "yellow", "green", "blue"];

/// The intrinsic dimensions of the vectors; see [`Dataset::generate`].
const LATENT: usize = 8;

/// A small pseudo-random number generator (`SplitMix64`); not for secrets.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Starts the sequence of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from -1 up to, not including, 1.
    pub fn next_signed(&mut self) -> f32 {
        // An `f32` holds 24 bits exactly.
        #[expect(clippy::cast_precision_loss, reason = "24 bits fit an f32")]
        let unit = (self.next_u64() >> 40) as f32 / 16_777_216.0;
        unit.mul_add(2.0, -1.0)
    }

    /// An index below `len`, which must not be zero.
    pub fn next_index(&mut self, len: usize) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below `len`")]
        let index = (self.next_u64() % len as u64) as usize;
        index
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    pub id: i64,
    pub color: &'static str,
    /// A vector of length 1.
    pub vector: &'a [f32],
}

/// All rows of a smoke test. The row at index `i` has the id `i`.
#[derive(Debug, Clone)]
pub struct Dataset {
    dim: usize,
    vectors: Vec<f32>,
    colors: Vec<&'static str>,
    basis: Vec<f32>,
}

impl Dataset {
    /// Generates the rows for `options`: equal seeds, rows and dimensions give equal data.
    ///
    /// Vectors have length 1, so that each is its own nearest neighbour by inner product too. They lie near a
    /// few dimensions, like real embeddings: with noise in all dimensions, all rows would be about equally
    /// far apart, and a healthy approximate index would miss neighbours.
    pub fn generate(options: &Options) -> Self {
        let mut random = SplitMix64::new(options.seed);
        let dim = options.dim;
        let basis: Vec<f32> = (0..LATENT * dim).map(|_| random.next_signed()).collect();
        let mut dataset =
            Self { dim, vectors: Vec::with_capacity(options.rows * dim), colors: vec![], basis };
        for _ in 0..options.rows {
            let vector = dataset.random_vector(&mut random);
            dataset.vectors.extend(vector);
            dataset.colors.push(COLORS[random.next_index(COLORS.len())]);
        }
        dataset
    }

    fn random_vector(&self, random: &mut SplitMix64) -> Vec<f32> {
        let mut vector: Vec<f32> = (0..self.dim).map(|_| 0.01 * random.next_signed()).collect();
        for direction in self.basis.chunks(self.dim) {
            let share = random.next_signed();
            for (number, along) in vector.iter_mut().zip(direction) {
                *number += share * along;
            }
        }
        let length = dot(&vector, &vector).sqrt();
        if length == 0.0 {
            vector[0] = 1.0;
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "vectors are sent as f32")]
            let length = length as f32;
            for number in &mut vector {
                *number /= length;
            }
        }
        vector
    }

    /// Vectors like the rows but not among them, for comparing a search with brute force.
    pub fn unseen_vectors(&self, count: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut random = SplitMix64::new(!seed);
        (0..count).map(|_| self.random_vector(&mut random)).collect()
    }

    pub fn len(&self) -> usize {
        self.colors.len()
    }

    /// The row with this id, if there is one.
    pub fn row(&self, id: i64) -> Option<Row<'_>> {
        let index = usize::try_from(id).ok().filter(|&index| index < self.len())?;
        let vector = &self.vectors[index * self.dim..(index + 1) * self.dim];
        Some(Row { id, color: self.colors[index], vector })
    }

    /// The ids of all rows.
    pub fn ids(&self) -> impl Iterator<Item = i64> + use<> {
        (0_i64..).take(self.len())
    }

    /// `count` ids spread evenly over the rows, the first and the last among them.
    pub fn spread(&self, count: usize) -> Vec<i64> {
        let last = self.len() - 1;
        let count = count.clamp(2, self.len());
        (0..count).filter_map(|n| i64::try_from(n * last / (count - 1)).ok()).collect()
    }

    /// The score that Milvus gives row `id` for `query`; `None` if there is no such row.
    pub fn score(&self, metric: Metric, query: &[f32], id: i64) -> Option<f64> {
        self.row(id).map(|row| score(metric, query, row.vector))
    }

    /// The `count` best scores for `query` among all rows, best first, as an exact search finds.
    pub fn nearest_scores(&self, metric: Metric, query: &[f32], count: usize) -> Vec<f64> {
        let mut scores: Vec<f64> =
            self.vectors.chunks(self.dim).map(|vector| score(metric, query, vector)).collect();
        scores.sort_by(|a, b| metric.rank(*a).total_cmp(&metric.rank(*b)));
        scores.truncate(count);
        scores
    }
}

impl Metric {
    /// A sort key; smaller is nearer.
    fn rank(self, score: f64) -> f64 {
        match self {
            Self::L2 => score,
            Self::Cosine | Self::Ip => -score,
        }
    }

    /// Whether score `a` is nearer than score `b`.
    pub fn is_nearer(self, a: f64, b: f64) -> bool {
        self.rank(a) < self.rank(b)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn score(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    match metric {
        Metric::Ip => dot(a, b),
        Metric::Cosine => dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
        Metric::L2 => a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(rows: usize, dim: usize) -> Dataset {
        Dataset::generate(&Options { rows, dim, ..Options::new("http://localhost:19530") })
    }

    #[test]
    fn the_generator_gives_the_published_sequence() {
        // The first numbers of splitmix64.c (Vigna, 2015) for the seed 1234567.
        let mut random = SplitMix64::new(1_234_567);
        assert_eq!(
            [random.next_u64(), random.next_u64(), random.next_u64()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn equal_seeds_give_equal_rows() {
        assert_eq!(dataset(20, 4).row(7), dataset(20, 4).row(7));
    }

    #[test]
    fn another_seed_gives_other_rows() {
        let options = Options { rows: 20, dim: 4, seed: 1, ..Options::new("http://localhost:19530") };
        assert_ne!(Dataset::generate(&options).row(7), dataset(20, 4).row(7));
    }

    #[test]
    fn vectors_have_length_one() {
        let dataset = dataset(50, 16);
        for id in dataset.ids() {
            let row = dataset.row(id).unwrap();
            assert!((dot(row.vector, row.vector) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn every_metric_finds_a_row_nearest_to_itself() {
        let dataset = dataset(200, 8);
        for metric in [Metric::Cosine, Metric::L2, Metric::Ip] {
            for id in dataset.ids() {
                let row = dataset.row(id).unwrap();
                let own = dataset.score(metric, row.vector, id).unwrap();
                let best = dataset.nearest_scores(metric, row.vector, 1)[0];
                assert!((own - best).abs() < 1e-6, "{metric:?} {id}: {own} {best}");
            }
        }
    }

    #[test]
    fn spread_ids_reach_from_first_to_last() {
        assert_eq!(dataset(100, 2).spread(4), [0, 33, 66, 99]);
        assert_eq!(dataset(10, 2).spread(50), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn there_is_no_row_beyond_the_last() {
        assert_eq!(dataset(10, 2).row(10), None);
        assert_eq!(dataset(10, 2).row(-1), None);
    }

    #[test]
    fn scores_match_milvus() {
        let (a, b) = ([1.0, 0.0], [0.0, 2.0]);
        assert!((score(Metric::L2, &a, &b) - 5.0).abs() < 1e-12, "squared, not the root");
        assert!(score(Metric::Ip, &a, &b).abs() < 1e-12);
        assert!((score(Metric::Cosine, &[2.0, 0.0], &[3.0, 0.0]) - 1.0).abs() < 1e-12);
    }
}
