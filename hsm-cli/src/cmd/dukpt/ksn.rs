//! `hsm dukpt ksn`.

use super::AnyKsn;
use crate::exit::usage;
use crate::facts::Facts;
use crate::wire;
use hsm_core::dukpt::{AES_MAX_ONES, AesKsn, Ksn, KsnDescriptor, TDES_MAX_ONES};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
A descriptor has three digits: how many digits of the serial number are the key set identifier (which BDK), the sub-key
identifier (0), and the device identifier. The last 5 digits are the counter, whose 21st bit is the lowest of the digit before.
Their sum and 5 is the length of the field in host commands, 12 to 20.

Examples:
  hsm dukpt ksn FFFF9876543210E00001
  hsm dukpt ksn FFFF9876543210E00001 --descriptor 906 --next 3
  hsm dukpt ksn 123456789012345600000001";

/// Explain a key serial number
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Key serial number: 12 to 20 digits, or 24 for AES
    #[arg(value_name = "KSN")]
    ksn: String,

    /// Descriptor as host commands have it, three digits such as 906
    #[arg(long, value_name = "XYZ", value_parser = descriptor)]
    descriptor: Option<Descriptor>,

    /// Show so many serial numbers that follow
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    next: u16,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// A descriptor and its three digits.
#[derive(Debug, Clone)]
struct Descriptor {
    text: String,
    parsed: KsnDescriptor,
}

fn descriptor(text: &str) -> Result<Descriptor, String> {
    let parsed = KsnDescriptor::parse(text.as_bytes()).map_err(|e| e.to_string())?;
    Ok(Descriptor { text: text.to_ascii_uppercase(), parsed })
}

/// Runs `hsm dukpt ksn`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let digits: String = args.ksn.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase();
    let ksn = AnyKsn::parse(&digits)?;
    let mut facts = Facts::default();
    match ksn {
        AnyKsn::Tdes(ksn) => tdes(&ksn, &digits, args, &mut facts)?,
        AnyKsn::Aes(ksn) => aes(&ksn, args, &mut facts)?,
    }
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}

fn tdes(ksn: &Ksn, digits: &str, args: &Args, facts: &mut Facts) -> anyhow::Result<()> {
    facts.add("kind", "TDES, X9.24-1").add("ksn", wire::hex(ksn.bytes()));
    if digits.len() < 20 {
        facts.line("", format!("{} digits, filled with F on the left", digits.len()));
    }
    let descriptors = match &args.descriptor {
        Some(descriptor) => vec![descriptor.clone()],
        None => usual_descriptors(digits.len()),
    };
    if let Some(Descriptor { text, parsed }) = descriptors.first() {
        let parts = parsed.split(digits.as_bytes()).map_err(|_| {
            let (wants, has) = (parsed.ksn_len(), digits.len());
            usage(format!(
                "--descriptor: {text} is for {wants} digits, the key serial number has {has}: the HSM would read \
                 {} as the start of the next field",
                if has > wants { "the rest" } else { "too far, into what follows, and the KSN" }
            ))
        })?;
        let part = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
        let usual =
            if args.descriptor.is_some() { "" } else { ", a usual one for this length: give yours with --descriptor" };
        facts.line("descriptor", format!("{text}{usual}")).json("descriptor", text.as_str().into());
        facts.add("key set", part(parts.key_set)).add_some("sub-key", part(parts.sub_key));
        facts.add("device", part(parts.device)).add("counter digits", part(parts.counter));
        facts.line("", "the lowest bit of the device's last digit is the counter's highest");
    }
    if descriptors.is_empty() {
        facts.line("descriptor", "none is usual for this length: with --descriptor key set and device are told");
    }
    if args.descriptor.is_none() && descriptors.len() > 1 {
        let others: Vec<&str> = descriptors.iter().skip(1).map(|d| d.text.as_str()).collect();
        facts.line("or", others.join(", "));
    }
    facts.add("initial key id", wire::hex(ksn.with_counter(0).bytes()));
    let counter = ksn.counter();
    let ones = counter.count_ones();
    facts.line("counter", format!("{counter} ({counter:05X}), {ones} of 21 bits set"));
    facts.json("counter", counter.into());
    let sent = sent(counter, ones, TDES_MAX_ONES);
    facts.line("", sent).json("sent_by_devices", ksn.is_sent_by_devices().into());
    let following = core::iter::successors(Some(counter), |counter| counter.checked_add(1))
        .skip(1)
        .take_while(|counter| *counter < 1 << 21)
        .map(|counter| ksn.with_counter(counter))
        .filter(Ksn::is_sent_by_devices)
        .map(|ksn| wire::hex(ksn.bytes()));
    next(following.take(usize::from(args.next)).collect(), args.next, facts);
    Ok(())
}

fn aes(ksn: &AesKsn, args: &Args, facts: &mut Facts) -> anyhow::Result<()> {
    if args.descriptor.is_some() {
        return Err(usage(
            "--descriptor: a key serial number of AES DUKPT has fixed parts: 8 bytes of identifiers and 4 of counter",
        ));
    }
    let [b0, b1, b2, b3, d0, d1, d2, d3] = *ksn.initial_key_id();
    facts.add("kind", "AES, X9.24-3").add("bdk id", wire::hex(&[b0, b1, b2, b3]));
    facts.add("device", wire::hex(&[d0, d1, d2, d3])).add("initial key id", wire::hex(ksn.initial_key_id()));
    let counter = ksn.counter();
    let ones = counter.count_ones();
    facts.line("counter", format!("{counter} ({counter:08X}), {ones} of 32 bits set")).json("counter", counter.into());
    facts.line("", sent(counter, ones, AES_MAX_ONES)).json("sent_by_devices", ksn.is_sent_by_devices().into());
    let id = *ksn.initial_key_id();
    let following = core::iter::successors(Some(counter), |counter| counter.checked_add(1))
        .skip(1)
        .map(|counter| AesKsn::new(id, counter))
        .filter(AesKsn::is_sent_by_devices)
        .map(|ksn| format!("{}{:08X}", wire::hex(ksn.initial_key_id()), ksn.counter()));
    next(following.take(usize::from(args.next)).collect(), args.next, facts);
    Ok(())
}

fn sent(counter: u32, ones: u32, most: u32) -> String {
    match ones {
        _ if counter == 0 => "0 stands for the initial key: no device sends it with a transaction".to_owned(),
        _ if ones > most => format!("more than {most}: devices skip it, an HSM takes it"),
        _ => "a device may send it".to_owned(),
    }
}

fn next(following: Vec<String>, asked: u16, facts: &mut Facts) {
    if asked == 0 {
        return;
    }
    for (at, ksn) in following.iter().enumerate() {
        facts.line(if at == 0 { "next" } else { "" }, ksn.as_str());
    }
    if following.len() < usize::from(asked) {
        facts.line("", "the counter ends here: the device needs a new initial key");
    }
    facts.json("next", following.into());
}

/// Descriptors that are seen for serial numbers of a length.
fn usual_descriptors(len: usize) -> Vec<Descriptor> {
    let texts: &[&str] = match len {
        16 => &["605"],
        20 => &["906", "A05", "609"],
        _ => &[],
    };
    texts.iter().filter_map(|text| descriptor(text).ok()).collect()
}
