//! Messages that make the load, and the answers they must get.

use crate::wire;

/// A message and the answer it must get.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// What reports call it: a command code.
    pub(super) name: String,
    /// Command code and body.
    pub(super) request: Vec<u8>,
    /// The answer.
    pub(super) expected: Expected,
}

/// An answer, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// Response code, error code and all fields.
    Whole(Vec<u8>),
    /// It begins with response code, error code and perhaps fields.
    Begin(Vec<u8>),
}

impl Expected {
    /// Whether an answer, without its header, is the right one.
    pub(super) fn agrees(&self, answer: &[u8]) -> bool {
        match self {
            Self::Whole(whole) => answer == whole,
            Self::Begin(begin) => answer.starts_with(begin),
        }
    }

    /// Response code and error code.
    pub(super) fn codes(&self) -> &[u8] {
        let (Self::Whole(bytes) | Self::Begin(bytes)) = self;
        bytes.get(..4).unwrap_or(bytes)
    }
}

/// Code, request and answer (`*` at its end for more that is not known) of the built-in messages, for the variant test LMK.
///
/// Sources: HostCommandTests of nickntg/thalessimulatorlibrary (CA, CW, CY, DC, EC), recomputed; the KQ sample of
/// card-emv-mac.md 2; host.md 3.1 (NC).
const BUILT_IN: &[(&str, &str, &str)] = &[
    ("B2", "B200100123456789ABCDEF", "B3000123456789ABCDEF"),
    (
        "CA",
        "CAU8463435FC4B4DAA0C49025272C29B12CU1EF828AA8F6B80EB83E19FBC373F3A85126428EB94035AF53B0101550000025321",
        "CB000491DDDA0A7C12CFAA01",
    ),
    (
        "CC",
        "CCBAB32D775A38E4ABU1EF828AA8F6B80EB83E19FBC373F3A8512F7808F2CBEC631680301550000025321",
        "CD000491DDDA0A7C12CFAA01",
    ),
    (
        "DA",
        "DAU8463435FC4B4DAA0C49025272C29B12C56C1DC7F3A89904312CBEBF6660BB10D260104400000123456FD64FC3FAD504BB34000001N34569853FFFFFFFF",
        "DB00",
    ),
    (
        "G0",
        "G0U8E3D3E2FD5919657F05A1AA90D32A014U1EF828AA8F6B80EB83E19FBC373F3A85906FFFF9876543210E00008FAE657793662FFDD0101400000123456",
        "G1000497793852608C59BF01",
    ),
    ("JC", "JCU8463435FC4B4DAA0C49025272C29B12C6428EB94035AF53B01550000025321", "JD0001234"),
    ("CW", "CW0A61E674E88C6A7EEABC38C2B2BB492F4123456789012345;8701101", "CX00561"),
    ("CY", "CYU9B4934384B19946B040CD702B4D581455614123456789012345;8701101", "CZ00"),
    ("DC", "DC0406FBB23A5214DFX367930344805B1FAD6146EF4ED7502B3AE7A708F877571A90155000002532114402", "DD00"),
    (
        "EC",
        "ECU1EF828AA8F6B80EB83E19FBC373F3A85X367930344805B1FAD6146EF4ED7502B391DDDA0A7C12CFAA0155000002532114402",
        "ED00",
    ),
    (
        "KQ",
        "KQ10U87E7B360B5E6DF7101F481B145E1A809<0423010203040500><0005><00000000>48\
         <00000000010000000000000000766080000000098610051400AFFB4A7A590000050FA501A20800580000000000000000000F\
         00000000000000000000000000000080000000000000>;<5E59AE107E67EEC7><0000>",
        "KR00<87DAE0057DABC82B>",
    ),
    ("NC", "NC", "ND00268604*"),
];

impl Message {
    /// A user's message, whose answer must have the code after the command's and an error code.
    ///
    /// # Errors
    /// A line that says what is wrong with the text.
    pub(super) fn own(text: &str, error: &str) -> Result<Self, String> {
        let request = wire::parse(text.as_bytes())?;
        let Some(&[first, second]) = request.first_chunk::<2>() else {
            return Err("--message: a message begins with a command code of two characters".to_owned());
        };
        if error.len() != 2 || !error.is_ascii() {
            return Err("--expect: an error code has two characters".to_owned());
        }
        let begin = [&[first, second.wrapping_add(1)], error.as_bytes()].concat();
        Ok(Self { name: wire::show(&[first, second]), request, expected: Expected::Begin(begin) })
    }

    fn built_in(code: &str) -> Result<Self, String> {
        let (_, request, answer) =
            BUILT_IN.iter().find(|(known, ..)| known.eq_ignore_ascii_case(code)).ok_or_else(|| {
                let known: Vec<&str> = BUILT_IN.iter().map(|(code, ..)| *code).collect();
                format!("there is no built-in message {code}, only {}", known.join(", "))
            })?;
        let expected = match answer.strip_suffix('*') {
            Some(begin) => Expected::Begin(wire::parse(begin.as_bytes())?),
            None => Expected::Whole(wire::parse(answer.as_bytes())?),
        };
        Ok(Self { name: code.to_ascii_uppercase(), request: wire::parse(request.as_bytes())?, expected })
    }
}

/// The messages of a mix such as `CA:50,B2:30`, and the order to send them in (indices), with equal messages apart.
///
/// # Errors
/// A line that says what is wrong with the mix.
pub(super) fn mix(text: &str) -> Result<(Vec<Message>, Vec<usize>), String> {
    let mut messages = Vec::new();
    let mut shares: Vec<u32> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (code, share) = part.split_once(':').unwrap_or((part, "1"));
        let share = share.trim().parse::<u32>().ok().filter(|share| (1..=10_000).contains(share));
        shares.push(share.ok_or_else(|| format!("the share of {code} is no number from 1 to 10000"))?);
        messages.push(Message::built_in(code.trim())?);
    }
    if messages.is_empty() {
        return Err("there is no message in it".to_owned());
    }
    let order = spread(&shares);
    Ok((messages, order))
}

/// Indices as often as their shares say, each as evenly spread as can be.
fn spread(shares: &[u32]) -> Vec<usize> {
    let divisor = shares.iter().fold(0, |a, b| gcd(a, *b)).max(1);
    let shares: Vec<i64> = shares.iter().map(|share| i64::from(share / divisor)).collect();
    let total: i64 = shares.iter().sum();
    let mut credit = vec![0i64; shares.len()];
    let mut order = Vec::new();
    for _ in 0..total {
        for (credit, share) in credit.iter_mut().zip(&shares) {
            *credit += share;
        }
        // The one that has waited longest for its share; the first of several.
        let Some(next) = (0..credit.len()).max_by_key(|&n| (credit[n], std::cmp::Reverse(n))) else { break };
        credit[next] -= total;
        order.push(next);
    }
    order
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_message_is_well_formed() {
        for (code, ..) in BUILT_IN {
            let message = Message::built_in(code).unwrap();
            assert!(message.request.starts_with(code.as_bytes()));
            assert_eq!(message.expected.codes().len(), 4);
            assert_eq!(message.expected.codes()[1], code.as_bytes()[1] + 1);
        }
        assert_eq!(Message::built_in("KQ").unwrap().request.len(), 37 + 14 + 2 + 72 + 1 + 10);
    }

    #[test]
    fn mixes_are_spread_evenly() {
        let (messages, order) = mix("CA:50, b2:30,CY:20").unwrap();
        assert_eq!(messages.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["CA", "B2", "CY"]);
        assert_eq!(order.len(), 10);
        assert_eq!([0, 1, 2].map(|n| order.iter().filter(|m| **m == n).count()), [5, 3, 2]);
        assert!(order.windows(3).all(|w| w[0] != w[1] || w[1] != w[2]), "{order:?}");
    }

    #[test]
    fn bad_mixes_are_refused() {
        for text in ["", ",", "XX", "CA:0", "CA:-1", "CA:x", "CA:99999"] {
            assert!(mix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn own_messages_know_their_codes() {
        let message = Message::own("B2<30>", "80").unwrap();
        assert!(message.expected.agrees(b"B380") && !message.expected.agrees(b"B300"));
        assert!(Message::own("B", "00").is_err());
        assert!(Message::own("B2", "0").is_err());
    }
}
