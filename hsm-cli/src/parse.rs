//! Values of arguments that several subcommands share.

use hsm_core::MAX_LMK_ID;
use std::time::Duration;

/// Longest time anybody may ask for: a year.
const LONGEST: f64 = 365.0 * 86_400.0;

/// A time in seconds, with a fraction if need be, above zero.
///
/// # Errors
/// A line that says what is wrong.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let time = seconds_or_zero(text)?;
    if time.is_zero() { Err("must be more than 0 seconds".to_owned()) } else { Ok(time) }
}

/// A time in seconds, with a fraction if need be; zero is allowed.
///
/// # Errors
/// A line that says what is wrong.
pub(crate) fn seconds_or_zero(text: &str) -> Result<Duration, String> {
    match text.strip_suffix('s').unwrap_or(text).parse::<f64>() {
        Ok(seconds) if (0.0..=LONGEST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) => Err("must be between 0 seconds and a year".to_owned()),
        Err(_) => Err("not a number of seconds".to_owned()),
    }
}

/// The identifier of an LMK: 0 to 19, of one digit or two.
///
/// # Errors
/// A line that says which there are.
pub(crate) fn lmk_id(text: &str) -> Result<u8, String> {
    let id = text.parse().ok().filter(|id| *id <= MAX_LMK_ID);
    id.ok_or_else(|| format!("LMK identifiers are 00 to {MAX_LMK_ID}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_positive_and_bounded() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(seconds_or_zero("0"), Ok(Duration::ZERO));
        for text in ["0", "-1", "nan", "inf", "1e300", "", "x"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
