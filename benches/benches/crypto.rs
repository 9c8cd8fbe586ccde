//! The parts of a call: unwrapping a key, building and reading a PIN block, TDES itself.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use hsm_core::key_type::KeyType;
use hsm_core::lmk::Lmk;
use hsm_core::scheme::KeyScheme;
use hsm_core::variant::{LmkUse, decrypt_under_lmk};
use hsm_core::{hex, key_block::thales};
use hsm_pinblock::{Account12, Context, Format, Pin, decode, encode};
use std::hint::black_box;

fn keys(c: &mut Criterion) {
    let lmk = Lmk::test_variant();
    let tpk = hex::decode("8463435FC4B4DAA0C49025272C29B12C").unwrap();
    c.bench_function("unwrap/variant U", |b| {
        b.iter(|| decrypt_under_lmk(&lmk, LmkUse::from(KeyType::PVK), KeyScheme::U, black_box(&tpk)).unwrap());
    });
    let lmk = Lmk::test_keyblock_tdes();
    let block = b"0007271TN00E00019BAD23B0CEF79E33328CA0568A0E186FC17E8DE738AAF9FB67C6E1FF";
    c.bench_function("unwrap/key block", |b| {
        b.iter(|| thales::unwrap(lmk.protection_keys().unwrap(), None, black_box(block)).unwrap());
    });
    let key = hsm_core::ClearKey::des(&tpk).unwrap();
    c.bench_function("tdes/key schedule", |b| b.iter(|| black_box(&key).cipher().unwrap()));
    let cipher = key.cipher().unwrap();
    c.bench_function("tdes/block", |b| {
        let mut block = [0u8; 8];
        b.iter(|| cipher.ecb_encrypt(black_box(&mut block)).unwrap());
    });
}

fn pin_blocks(c: &mut Criterion) {
    let context = Context::account(Account12::from_digits(b"400000123456").unwrap());
    let pin = Pin::from_digits(b"1234").unwrap();
    let mut fill = |to: &mut [u8]| to.fill(0);
    c.bench_function("pinblock/encode ISO-0", |b| {
        b.iter(|| encode(Format::Iso0, black_box(&pin), &context, &mut fill).unwrap())
    });
    let block = encode(Format::Iso0, &pin, &context, &mut fill).unwrap();
    c.bench_function("pinblock/decode ISO-0", |b| {
        b.iter(|| decode(Format::Iso0, black_box(block.as_bytes()), &context).unwrap())
    });
}

criterion_group!(benches, keys, pin_blocks);
criterion_main!(benches);
