//! Commands natively and as WASM plugins with pristine memory, side by side in one run.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hsm_core::{SecurityModule, Session};
use hsm_server::{Engine, Limits, PluginSet, SharedPlugins};
use std::hint::black_box;

const REQUESTS: &[&[u8]] = &[
    b"B20004ping",
    b"NC",
    b"CAU8463435FC4B4DAA0C49025272C29B12CU1EF828AA8F6B80EB83E19FBC373F3A8512CBEBF6660BB10D260101400000123456",
    b"CYU9B4934384B19946B040CD702B4D581455614123456789012345;8701101",
    b"DCU8463435FC4B4DAA0C49025272C29B12CU183DF6EA5EDFF7D5C91C8F2BA6451884CBEBF6660BB10D260140000012345618697",
];

fn commands(c: &mut Criterion) {
    let module = SecurityModule::with_test_lmks();
    let plugins = SharedPlugins::new(PluginSet::load(None, &Limits::default()).unwrap());
    let mut engine = Engine::new(plugins, module.clone());
    let mut session = Session::new(module);
    for request in REQUESTS {
        let code = *request.first_chunk().unwrap();
        let command = hsm_plugins::COMMANDS.iter().find(|command| command.code == code).unwrap();
        let mut group = c.benchmark_group(String::from_utf8_lossy(&code).into_owned());
        group.throughput(Throughput::Elements(1));
        group.bench_function("native", |b| {
            b.iter(|| {
                session.begin(code, None);
                black_box(command.respond(black_box(&request[2..]), &mut session, false));
                session.end();
            });
        });
        let mut out = Vec::new();
        engine.process(request, None, false, &mut out);
        assert_eq!(&out[2..4], b"00", "{}", out.escape_ascii());
        group.bench_function("wasm", |b| {
            b.iter(|| {
                out.clear();
                engine.process(black_box(request), None, false, &mut out);
                black_box(&out);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, commands);
criterion_main!(benches);
