//! Reads cases of the differential test as JSON lines and prints for each what the paysec crates make of it: of a case of
//! `dukpt-aes` the keys, of a case of `tr31` with a block of version D the key in it.

use paysec_crypto::AesKeySize;
use paysec_crypto_soft_aes::SoftAesProvider;
use paysec_dukpt::{KeySerialNumber, WorkingKeyUsage, derive_initial_key, derive_update_key, derive_working_key};
use paysec_keyblock::tr31_unwrap;
use serde_json::{Value, json};
use std::error::Error;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    for line in std::io::stdin().lines() {
        let case: Value = serde_json::from_str(&line?)?;
        let answer = match text(&case, "family")? {
            "dukpt-aes" => dukpt(&case)?,
            "tr31" => key_block(&case)?,
            other => return Err(format!("no answer for {other}").into()),
        };
        println!("{answer}");
    }
    Ok(())
}

fn dukpt(case: &Value) -> Outcome<Value> {
    let (bdk, ksn, provider) = (bytes(case, "bdk")?, bytes(case, "ksn")?, SoftAesProvider::new());
    let ksn = KeySerialNumber::from_bytes(ksn.try_into().map_err(|_| "the serial number does not have 12 bytes")?);
    let size = AesKeySize::try_from(bdk.len()).map_err(|_| "the BDK is no AES key")?;
    let working = case["length"].as_u64().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    let working = AesKeySize::try_from(working).map_err(|_| "no such length of AES keys")?;
    let initial = derive_initial_key(&provider, bdk.as_slice(), size, ksn.initial_key_id())?;
    let update = derive_update_key(&provider, bdk.as_slice(), size, ksn.initial_key_id())?;
    let mut answer = json!({ "initial": encode(initial.expose_secret()), "update": encode(update.expose_secret()) });
    for (name, usage) in [
        ("key_encryption", WorkingKeyUsage::KeyEncryption),
        ("pin", WorkingKeyUsage::PinEncryption),
        ("mac_generation", WorkingKeyUsage::MessageAuthenticationGeneration),
        ("mac_verification", WorkingKeyUsage::MessageAuthenticationVerification),
        ("mac_both", WorkingKeyUsage::MessageAuthenticationBothWays),
        ("data_encryption", WorkingKeyUsage::DataEncryptionEncrypt),
        ("data_decryption", WorkingKeyUsage::DataEncryptionDecrypt),
        ("data_both", WorkingKeyUsage::DataEncryptionBothWays),
    ] {
        let key = derive_working_key(&provider, bdk.as_slice(), size, usage, working, ksn)?;
        answer[name] = json!(encode(key.expose_secret()));
    }
    Ok(answer)
}

fn key_block(case: &Value) -> Outcome<Value> {
    let kbpk = bytes(case, "kbpk")?;
    let size = AesKeySize::try_from(kbpk.len()).map_err(|_| "the protection key is no AES key")?;
    Ok(match tr31_unwrap(&SoftAesProvider::new(), kbpk.as_slice(), size, text(case, "block")?) {
        Ok((_, key)) => json!({ "key": encode(key.expose_secret()) }),
        Err(error) => json!({ "error": error.to_string() }),
    })
}

fn text<'a>(case: &'a Value, name: &str) -> Outcome<&'a str> {
    Ok(case[name].as_str().ok_or_else(|| format!("no field {name}"))?)
}

fn bytes(case: &Value, name: &str) -> Outcome<Vec<u8>> {
    let digits = text(case, name)?;
    (0..digits.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(digits.get(at..at + 2).unwrap_or("odd"), 16)?))
        .collect()
}

fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
