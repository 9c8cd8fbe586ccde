//! What a module remembers of PINs between requests: excluded PINs, and failed verifications for fraud detection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// What is checked of a PIN that is being chosen; what fails is answered with 86.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeakPinChecks {
    /// Against the PINs that the request excludes.
    pub local: bool,
    /// Against the PINs that the device excludes (BM).
    pub global: bool,
    /// By rule: not one digit repeated, not digits that count up or down.
    pub rules: bool,
}

/// Limits of failed PIN verifications (console command A5). Verification stops with 39 when a limit is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FraudLimits {
    /// Failures within a minute.
    pub per_minute: u32,
    /// Failures within an hour.
    pub per_hour: u32,
    /// How often a limit may be exceeded. Once this one is reached, only loading LMKs makes verification possible again: a device erases its LMKs.
    pub attacks: u32,
}

/// The state, behind one lock that requests without failures take only when fraud detection is on.
#[derive(Default)]
pub(crate) struct PinGuard(Mutex<State>);

#[derive(Default)]
struct State {
    excluded: BTreeMap<u8, Zeroizing<Vec<u8>>>,
    failures: VecDeque<SystemTime>,
    attacks: u32,
    locked: bool,
}

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

impl PinGuard {
    /// Replaces the excluded PINs of a length: `digits` holds them one after the other.
    pub(crate) fn load_excluded(&self, length: u8, digits: &[u8]) {
        self.state().excluded.insert(length, Zeroizing::new(digits.to_vec()));
    }

    /// Whether `matches` says so of any excluded PIN of the length.
    pub(crate) fn excludes(&self, length: u8, matches: impl Fn(&[u8]) -> bool) -> bool {
        let state = self.state();
        state.excluded.get(&length).is_some_and(|digits| digits.chunks_exact(usize::from(length).max(1)).any(matches))
    }

    /// Whether verification is locked.
    pub(crate) fn is_locked(&self) -> bool {
        self.state().locked
    }

    /// Counts a failed verification; locks if that exceeds a limit.
    pub(crate) fn count_failure(&self, limits: FraudLimits, now: SystemTime) {
        let mut state = self.state();
        // A clock that was set back must not forgive: what seems to come from the future counts as new.
        let older = |past: &SystemTime, span| now.duration_since(*past).is_ok_and(|age| age >= span);
        while state.failures.front().is_some_and(|past| older(past, HOUR)) {
            state.failures.pop_front();
        }
        state.failures.push_back(now);
        let hour = state.failures.len();
        let minute = state.failures.iter().rev().take_while(|past| !older(past, MINUTE)).count();
        if hour > limits.per_hour as usize || minute > limits.per_minute as usize {
            state.locked = true;
            state.attacks = state.attacks.saturating_add(1);
            state.failures.clear();
        }
    }

    /// Unlocks, unless the number of attacks has reached its limit.
    pub(crate) fn unlock(&self, limits: Option<FraudLimits>) -> bool {
        let mut state = self.state();
        if limits.is_none_or(|limits| state.attacks < limits.attacks) {
            state.locked = false;
        }
        !state.locked
    }

    /// Forgets failures and attacks, as new LMKs do.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.failures.clear();
        state.attacks = 0;
        state.locked = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change leaves a whole state behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FraudLimits = FraudLimits { per_minute: 2, per_hour: 4, attacks: 2 };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn fail(guard: &PinGuard, times: &[u64]) -> bool {
        times.iter().for_each(|t| guard.count_failure(LIMITS, at(*t)));
        guard.is_locked()
    }

    #[test]
    fn the_third_failure_within_a_minute_locks() {
        let guard = PinGuard::default();
        assert!(!fail(&guard, &[0, 59, 60]), "the first is a minute old when the third comes");
        assert!(fail(&guard, &[61]));
    }

    #[test]
    fn the_fifth_failure_within_an_hour_locks() {
        let guard = PinGuard::default();
        assert!(!fail(&guard, &[0, 100, 200, 300, 3600]));
        assert!(fail(&guard, &[3650]));
    }

    #[test]
    fn unlocking_ends_when_the_attacks_reach_their_limit() {
        let guard = PinGuard::default();
        assert!(fail(&guard, &[0, 1, 2]));
        assert!(guard.unlock(Some(LIMITS)));
        assert!(!fail(&guard, &[3, 4]), "failures count anew");
        assert!(fail(&guard, &[5]));
        assert!(!guard.unlock(Some(LIMITS)));
        assert!(guard.is_locked());
        guard.forget();
        assert!(!guard.is_locked());
        assert!(fail(&guard, &[6, 7, 8]));
        assert!(guard.unlock(Some(LIMITS)));
    }

    #[test]
    fn excluded_pins_are_kept_by_length() {
        let guard = PinGuard::default();
        guard.load_excluded(4, b"12341111");
        assert!(guard.excludes(4, |pin| pin == b"1111"));
        assert!(!guard.excludes(4, |pin| pin == b"3411"));
        assert!(!guard.excludes(5, |_| true));
        guard.load_excluded(4, b"");
        assert!(!guard.excludes(4, |_| true));
    }
}
