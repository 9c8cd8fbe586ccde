//! A histogram of times with buckets that grow with the time: cheap to fill, at most 1.6 % off.

use std::time::Duration;

/// Linear buckets per power of two, as a power of two.
const FINE: u32 = 6;

/// Buckets for every number of nanoseconds that 64 bits hold.
const BUCKETS: usize = ((64 - FINE as usize) + 1) << FINE;

/// Times in nanoseconds.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one time.
    pub(super) fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
        }
        self.total += 1;
        self.sum += u128::from(nanos);
        self.max = self.max.max(nanos);
    }

    /// Adds another histogram's counts.
    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// Number of times counted.
    pub(super) fn count(&self) -> u64 {
        self.total
    }

    /// The longest time in microseconds.
    pub(super) fn max(&self) -> f64 {
        self.max as f64 / 1e3
    }

    /// The average in microseconds; 0 if nothing was counted.
    pub(super) fn mean(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.sum as f64 / self.total as f64 / 1e3 }
    }

    /// The time in microseconds that a share (0 to 1) of all times does not exceed.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(index).min(self.max) as f64 / 1e3;
            }
        }
        self.max()
    }
}

/// The bucket of a number: itself up to 2^FINE, then 2^FINE buckets for every power of two.
fn bucket(n: u64) -> usize {
    let power = n.checked_ilog2().unwrap_or(0);
    match power.checked_sub(FINE) {
        None => n as usize,
        Some(shift) => (((shift as usize) + 1) << FINE) + ((n >> shift) as usize & ((1 << FINE) - 1)),
    }
}

/// The largest number in a bucket.
fn upper(bucket: usize) -> u64 {
    let (group, offset) = (bucket >> FINE, bucket as u64 & ((1 << FINE) - 1));
    match group.checked_sub(1) {
        None => offset,
        Some(shift) => {
            let lowest = ((1 << FINE) + offset) << shift;
            lowest + ((1u64 << shift) - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gap() {
        let mut expected = 0;
        for index in 0..BUCKETS {
            assert_eq!(bucket(expected), index, "first of bucket {index}");
            assert_eq!(bucket(upper(index)), index, "last of bucket {index}");
            match upper(index).checked_add(1) {
                Some(next) => expected = next,
                None => assert_eq!(index, BUCKETS - 1),
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_close_to_the_truth() {
        let mut histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, truth) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let found = histogram.quantile(share);
            assert!((truth..=truth * 1.016).contains(&found), "{share}: {found}");
        }
        assert_eq!(histogram.max(), 1000.0);
        assert_eq!(Histogram::default().quantile(0.5), 0.0);
    }
}
